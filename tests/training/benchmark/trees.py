"""Small trees in exactly the layouts that the benchmarks are published in."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

SIZE = (72, 80)


def part(seed: int, defective: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A brushed plate, uint8 [H, W, 3], and its mask, 0 and 255; a defective one has a spot."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(128, 40, SIZE).astype(np.float32), (1, 15), 0)
    image = np.repeat(np.clip(grain, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)
    mask = np.zeros(SIZE, np.uint8)
    if defective:
        centre = tuple(int(value) for value in rng.integers(20, 50, 2))
        cv2.circle(image, centre, 8, (20, 20, 20), -1)
        cv2.circle(mask, centre, 8, 255, -1)
    return image, mask


def save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def mvtec_tree(root: Path, *categories: str, train: int = 10) -> Path:
    """<category>/train/good/000.png, test/<kind>/000.png, ground_truth/<kind>/000_mask.png."""
    for category in categories:
        folder = root / category
        for index in range(train):
            save(folder / "train" / "good" / f"{index:03}.png", part(index)[0])
        for index in range(3):
            save(folder / "test" / "good" / f"{index:03}.png", part(100 + index)[0])
            for kind in ("scratch", "hole"):
                image, mask = part(200 + index, defective=True)
                save(folder / "test" / kind / f"{index:03}.png", image)
                save(folder / "ground_truth" / kind / f"{index:03}_mask.png", mask)
    return root


def visa_tree(root: Path, *categories: str) -> Path:
    """split_csv/1cls.csv and <object>/Data/{Images/{Normal,Anomaly},Masks/Anomaly}.

    Masks hold the numbers of classes of defects (1, 2, …), as the published ones do.
    """
    rows = ["object,split,label,image,mask"]
    for category in categories:
        data = Path(category) / "Data"
        for index in range(12):
            name = data / "Images" / "Normal" / f"{index:04}.JPG"
            save(root / name, part(index)[0])
            rows.append(f"{category},{'train' if index < 9 else 'test'},normal,{name.as_posix()},")
        for index in range(3):
            image, mask = part(200 + index, defective=True)
            name, of = data / "Images" / "Anomaly" / f"{index:03}.JPG", data / "Masks" / "Anomaly"
            save(root / name, image)
            save(root / of / f"{index:03}.png", mask // 255 * (1 + index))
            rows.append(
                f"{category},test,anomaly,{name.as_posix()},{(of / f'{index:03}.png').as_posix()}"
            )
    (root / "split_csv").mkdir()
    (root / "split_csv" / "1cls.csv").write_text("\r\n".join(rows) + "\r\n")
    for other in ("2cls_fewshot.csv", "2cls_highshot.csv"):
        (root / "split_csv" / other).write_text(rows[0] + "\n")
    (root / "LICENSE-DATASET").write_text("CC BY 4.0")
    return root


def dagm_tree(root: Path, *numbers: int) -> Path:
    """Class<n>/{Train,Test}/0001.PNG, Label/Labels.txt, Label/0001_label.PNG; grey images."""
    for number in numbers:
        for part_name, good, bad in (("Train", 9, 3), ("Test", 3, 3)):
            folder = root / f"Class{number}" / part_name
            lines = [str(number)]
            for index in range(good + bad):
                defective = index >= good
                stem = f"{index + 1:04}"
                image, mask = part(300 * (part_name == "Test") + index, defective)
                save(folder / f"{stem}.PNG", image[..., 0])
                label = f"{stem}_label.PNG" if defective else "0"
                if defective:
                    save(folder / "Label" / label, mask)
                lines.append(f"{index + 1}\t{int(defective)}\t{stem}.PNG\t0\t{label}")
            (folder / "Label" / "Labels.txt").write_text("\r\n".join(lines) + "\r\n")
    return root
