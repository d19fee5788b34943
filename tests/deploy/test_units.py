"""The unit files: systemd understands them, and thinks them safe enough."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "deploy/systemd"
UNITS = ["normline.service", "normline-gate.service"]
DROP_INS = {
    "v4l2": UNITS[0],
    "intel": UNITS[0],
    "jetson": UNITS[0],
    "gpio": UNITS[1],
}
# systemd-analyze counts in tenths.
EXPOSURE_LIMIT = "20"


@pytest.fixture(scope="module")
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed")
    return found


def with_drop_in(folder: Path, unit: str, device: str | None) -> Path:
    """The unit as it is installed; the drop-in's lines simply follow the unit's own."""
    text = (FOLDER / unit).read_text()
    if device is not None:
        text += (FOLDER / f"devices/{device}.conf").read_text()
    # What is checked is the unit, not whether this machine has the program installed.
    path = folder / unit
    path.write_text(text.replace("/opt/normline/current/bin/normline", "/bin/true"))
    return path


CASES = [(unit, None) for unit in UNITS] + [(unit, device) for device, unit in DROP_INS.items()]


@pytest.mark.parametrize(("unit", "device"), CASES)
def test_exposure_is_at_most_two(
    analyze: str, tmp_path: Path, unit: str, device: str | None
) -> None:
    path = with_drop_in(tmp_path, unit, device)
    done = subprocess.run(
        [analyze, "security", "--offline=true", f"--threshold={EXPOSURE_LIMIT}", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("unit", "device"), CASES)
def test_systemd_understands_every_line(
    analyze: str, tmp_path: Path, unit: str, device: str | None
) -> None:
    path = with_drop_in(tmp_path, unit, device)
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(path)], capture_output=True, text=True, check=False
    )
    about = [line for line in done.stderr.splitlines() if unit in line]
    assert about == []


def test_every_drop_in_is_checked() -> None:
    assert {path.stem for path in (FOLDER / "devices").iterdir()} == set(DROP_INS)
