"""The unit files: systemd understands them, and thinks them safe enough."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from agent.gate.sensor import FifoSensor

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


def test_the_station_starts_when_the_clock_is_set() -> None:
    """Epochs are its seconds: one behind is taken for old by everybody who remembers a later."""
    text = (FOLDER / UNITS[0]).read_text()
    for key in ("Wants", "After"):
        assert re.search(rf"^{key}=.*\btime-sync\.target$", text, re.MULTILINE), key


def test_the_stations_temporary_files_are_where_nobody_tidies_up_and_none_pile_up() -> None:
    """Its socket for new camera processes went after weeks: a lost camera never came back."""
    lines = (FOLDER / UNITS[0]).read_text().splitlines()
    folder = "/run/normline/tmp"
    assert "RuntimeDirectory=normline" in lines
    assert f"Environment=TMPDIR={folder}" in lines
    before = [line for line in lines if line.startswith("ExecStartPre=")]
    assert before == [f"ExecStartPre=/bin/rm -rf {folder}", f"ExecStartPre=/bin/mkdir -p {folder}"]


def test_the_station_outlives_a_camera_process_that_the_kernel_kills_for_memory() -> None:
    """systemd stops the whole unit then, unless it is told otherwise."""
    assert "OOMPolicy=continue" in (FOLDER / UNITS[0]).read_text().splitlines()


def test_a_reader_of_codes_in_the_group_writes_into_the_gates_pipe_under_the_units_umask(
    tmp_path: Path,
) -> None:
    text = (FOLDER / UNITS[1]).read_text()
    (umask,) = re.findall(r"^UMask=(\d+)$", text, re.MULTILINE)
    before = os.umask(int(umask, 8))
    try:
        FifoSensor(tmp_path / "parts").close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "parts").stat().st_mode) == 0o620


def test_a_pipe_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "parts", 0o600)
    FifoSensor(tmp_path / "parts").close()
    assert stat.S_IMODE((tmp_path / "parts").stat().st_mode) == 0o600
