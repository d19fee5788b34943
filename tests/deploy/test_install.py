"""The installer: every run leaves one whole version that runs, and nothing of a user's is lost.

The wheel is a tiny one that answers as `normline` does where the installer asks it; pip, the
virtual environments and all files are real, below a folder of the test's.
"""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from deploy.install import main

PROGRAM = """
import pathlib, sys
def main():
    if "--version" in sys.argv:
        print("{version}")
        sys.exit({exit_code})
    keys = pathlib.Path(sys.argv[-1])
    keys.mkdir(parents=True, exist_ok=True)
    if not (keys / "station.key").exists():
        (keys / "station.key").write_text("made by {version}")
"""


def make_wheel(folder: Path, version: str, exit_code: int = 0) -> Path:
    """A wheel called normline, with nothing in it but its command."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"normline-{version}-py3-none-any.whl"
    info = f"normline-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("answers.py", PROGRAM.format(version=version, exit_code=exit_code))
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: normline\nVersion: {version}\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\nnormline = answers:main\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


class Machine:
    """A file system to install into."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.wheels = folder / "wheels"

    def run(self, *arguments: str) -> int:
        return main(["--root", str(self.root), *arguments])

    def install(self, version: str, *options: str, exit_code: int = 0) -> int:
        wheel = make_wheel(self.wheels, version, exit_code)
        return self.run("install", str(wheel), "--find-links", str(self.wheels), *options)

    @property
    def running(self) -> str:
        """What the version that is current says of itself."""
        command = self.root / "opt/normline/current/bin/normline"
        return subprocess.check_output([command, "--version"], text=True).strip()

    def files(self) -> dict[str, bytes]:
        """Everything but the virtual environments."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and "versions" not in path.parts
        }


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    machine = Machine(tmp_path_factory.mktemp("install"))
    assert machine.install("1.0", "--device", "v4l2", "--allow-network", "192.168.0.0/24") == 0
    return machine


def test_what_is_installed_runs(machine: Machine) -> None:
    assert machine.running == "1.0"
    units = machine.root / "etc/systemd/system"
    assert "Type=notify" in (units / "normline.service").read_text()
    assert "video4linux" in (units / "normline.service.d/v4l2.conf").read_text()
    assert "192.168.0.0/24" in (units / "normline.service.d/network.conf").read_text()
    assert not (units / "normline-gate.service").exists()
    link = machine.root / "usr/local/bin/normline"
    assert link.readlink() == machine.root / "opt/normline/current/bin/normline"


def test_again_changes_nothing(machine: Machine) -> None:
    before = machine.files(), os.readlink(machine.root / "opt/normline/current")
    assert machine.install("1.0") == 0
    assert (machine.files(), os.readlink(machine.root / "opt/normline/current")) == before


def test_upgrade_keeps_what_is_the_users_and_rollback_goes_back(machine: Machine) -> None:
    station = machine.root / "etc/normline/station.yaml"
    station.write_text("mine")
    assert machine.install("1.1") == 0
    assert machine.running == "1.1"
    assert station.read_text() == "mine"
    assert (machine.root / "etc/normline/keys/station.key").read_text() == "made by 1.0"
    assert machine.run("rollback") == 0
    assert machine.running == "1.0"
    assert machine.run("rollback") == 0
    assert machine.running == "1.1"


def test_a_version_that_does_not_even_start_changes_nothing(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    before = machine.running
    assert machine.install("1.2", exit_code=3) == 2
    assert "install.py: error: " in capsys.readouterr().err
    assert machine.running == before


@pytest.mark.parametrize(
    ("source", "message"), [("none.whl", "is not a wheel"), ("", "neither a wheel nor the source")]
)
def test_a_wrong_source_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, message: str
) -> None:
    (tmp_path / "none.whl").write_text("no zip")
    assert main(["--root", str(tmp_path / "root"), "install", str(tmp_path / source)]) == 2
    assert message in capsys.readouterr().err


def test_nothing_to_go_back_to_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path), "rollback"]) == 2
    assert "no version to go back to" in capsys.readouterr().err


def test_uninstall_keeps_the_users_files_and_purge_does_not(machine: Machine) -> None:
    """The last of this file: the machine is empty afterwards."""
    assert machine.run("uninstall") == 0
    left = machine.files()
    assert set(left) == {"etc/normline/station.yaml", "etc/normline/keys/station.key"}
    assert not (machine.root / "usr/local/bin/normline").is_symlink()
    assert machine.run("uninstall", "--purge") == 0
    assert machine.files() == {}
