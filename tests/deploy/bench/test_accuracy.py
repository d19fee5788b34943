"""What a bench says of accuracy is taken from the images that show a part."""

from __future__ import annotations

from pathlib import Path

import cv2

from agent.bundle import open_bundle
from deploy.bench.accuracy import accuracies
from tests.posed import SIZE, alignment, lying
from tests.tiny import write_tiny_bundle


def test_a_test_image_without_a_part_costs_no_bench(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(
        tmp_path / "key.nlb",
        view={"image_size": SIZE, "alignment": alignment()},
    )
    good = [f"train/good/{index}" for index in range(8)] + ["test/good/0", "test/good/1"]
    for index, name in enumerate([*good, "test/bent/0", "test/bent/gone"]):
        path = tmp_path / "data" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        away = -1000 if path.stem == "gone" else 0
        cv2.imwrite(str(path), lying(150 + away, 118, 10.0 * index, seed=index))
    said: list[str] = []
    opened = {"key": open_bundle(bundle)}
    engines = [("key", "onnxruntime", each) for each in opened["key"].precisions]
    found = accuracies(opened, engines, "CPU", tmp_path / "data", set(), said.append)
    assert found and all(0 <= value <= 1 for value in found.values())
    assert "gone.png shows no part" in said[0] and said[1] == "1 of 4 test images left out"
    assert said[2] == "key onnxruntime fp32: 3 images inspected"
