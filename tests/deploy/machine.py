"""A machine to install into: its file system, wheels, and a systemd of a few lines.

The wheel is a tiny one that answers as `normline` does where the installer asks it; pip, the
virtual environments and all files are real, below a folder of the test's. A `RunningMachine` is
installed into many times, and only unpacks the wheels.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import deploy.install

CONSTRAINTS = deploy.install.HERE.parent / "constraints.txt"
STATION, GATE = deploy.install.UNITS

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

# In the place of pip: SCRIPT FOLDER install … --find-links=WHEELS … WHEEL[gpio]
UNPACK = """
import sys, zipfile
from pathlib import Path
folder, (wheel, _, extra) = Path(sys.argv[1]), sys.argv[-1].partition("[")
(wheels,) = (word.partition("=")[2] for word in sys.argv if word.startswith("--find-links="))
packages = folder / "lib/python3/site-packages"
for each in [wheel, *(Path(wheels).glob("gpiod-*.whl") if extra else ())]:
    zipfile.ZipFile(each).extractall(packages)
command = folder / "bin/normline"
command.parent.mkdir(exist_ok=True)
command.write_text(
    f"#!{sys.executable} -IS\\nimport sys; sys.path.insert(0, {str(packages)!r})\\n"
    "import answers; answers.main()\\n"
)
command.chmod(0o755)
"""

# What a unit runs is a line: the unit, the version, its drop-ins, its description. It does not
# become ready if that line is one of `broken`.
SYSTEMCTL = """#!/bin/sh
cd {folder} || exit 1
echo "$@" >> calls
if [ "$1" = "$(cat cut_off)" ]; then
    echo > cut_off
    kill -INT $PPID
    exit 1
fi
case $1 in
is-active)
    cat "$2.state" 2> /dev/null || echo inactive
    ;;
disable)
    echo inactive > "$3.state"
    ;;
restart)
    version=$(basename "$(readlink {root}/opt/normline/current)")
    units={root}/etc/systemd/system
    runs=$(echo "$2" "${{version%-*}}" $(ls "$units/$2.d" 2> /dev/null) $(grep ^Desc "$units/$2"))
    if echo "$runs" | grep -q -f broken; then
        echo activating > "$2.state"
        exit 1
    fi
    echo active > "$2.state"
    echo "$runs" > "$2.runs"
    ;;
esac
"""


def make_wheel(folder: Path, version: str, exit_code: int = 0) -> Path:
    """A wheel called normline, with nothing in it but its command."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"normline-{version}-py3-none-any.whl"
    info = f"normline-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("answers.py", PROGRAM.format(version=version, exit_code=exit_code))
        wheel.writestr(
            f"{info}/METADATA",
            f"Metadata-Version: 2.1\nName: normline\nVersion: {version}\n"
            'Provides-Extra: gpio\nRequires-Dist: gpiod; extra == "gpio"\n',
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\nnormline = answers:main\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def make_gpiod(folder: Path) -> None:
    """A wheel of what drives GPIO lines, in the version that is pinned."""
    folder.mkdir(parents=True, exist_ok=True)
    pins = CONSTRAINTS.read_text().splitlines()
    (version,) = (pin.removeprefix("gpiod==") for pin in pins if pin.startswith("gpiod=="))
    info, about = f"gpiod-{version}.dist-info", f"Name: gpiod\nVersion: {version}\n"
    with zipfile.ZipFile(folder / f"gpiod-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("gpiod/__init__.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\n{about}")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


class Machine:
    """A file system to install into."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.wheels = folder / "wheels"
        self.opt = self.root / "opt/normline"
        self.units = self.root / "etc/systemd/system"
        self.station = self.root / "etc/normline/station.yaml"

    def run(self, *arguments: str) -> int:
        return deploy.install.main(["--root", str(self.root), *arguments])

    def install(self, version: str, *options: str, exit_code: int = 0) -> int:
        wheel = make_wheel(self.wheels, version, exit_code)
        make_gpiod(self.wheels)
        return self.run("install", str(wheel), "--find-links", str(self.wheels), *options)

    @property
    def running(self) -> str:
        """What the version that is current says of itself."""
        command = self.opt / "current/bin/normline"
        return subprocess.check_output([command, "--version"], text=True).strip()

    def files(self) -> dict[str, bytes]:
        """Everything but the virtual environments."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and "versions" not in path.parts
        }


class RunningMachine(Machine):
    """One with a systemd, in which units can run; the installer's units can be changed."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder)
        self.systemd = folder / "systemd"
        self.systemd.mkdir()
        self.broken()
        self.cut_off_at("")
        command = self.systemd / "systemctl"
        command.write_text(SYSTEMCTL.format(folder=self.systemd, root=self.root))
        command.chmod(0o755)
        monkeypatch.setenv("PATH", str(self.systemd), prepend=os.pathsep)
        monkeypatch.setattr(deploy.install.Installation, "_has_systemd", True)
        self.unpack = folder / "unpack.py"
        self.unpack.write_text(UNPACK)
        monkeypatch.setattr(deploy.install, "_make_environment", self._make_environment)
        self.source = folder / "deploy"
        shutil.copytree(deploy.install.HERE / "systemd", self.source / "systemd")
        monkeypatch.setattr(deploy.install, "HERE", self.source)

    def _make_environment(self, folder: Path) -> list[str]:
        return [sys.executable, "-IS", str(self.unpack), str(folder)]

    def start(self, *units: str) -> None:
        for unit in units:
            subprocess.run([self.systemd / "systemctl", "restart", unit], check=True)
        self.calls(forget=True)

    def runs(self, unit: str) -> list[str]:
        """Version, drop-ins and description under which it was last started and became ready."""
        return (self.systemd / f"{unit}.runs").read_text().split()[1:]

    def state(self, unit: str) -> str:
        return (self.systemd / f"{unit}.state").read_text().strip()

    def crashes(self, unit: str) -> None:
        (self.systemd / f"{unit}.state").write_text("activating\n")

    def broken(self, *lines: str) -> None:
        """What does not become ready: words of the line that it would run as."""
        (self.systemd / "broken").write_text("".join(f"{line}\n" for line in lines))

    def cut_off_at(self, action: str) -> None:
        """The next time systemctl is called for this, somebody presses Ctrl-C."""
        (self.systemd / "cut_off").write_text(f"{action}\n")

    def calls(self, *, forget: bool = False) -> list[str]:
        """What systemctl was called for, questions aside."""
        path = self.systemd / "calls"
        calls = path.read_text().splitlines()
        if forget:
            path.write_text("")
        return [call for call in calls if not call.startswith("is-active")]

    def describe(self, unit: str, word: str) -> None:
        """The unit that comes with the installer is another one from now on."""
        path = self.source / "systemd" / unit
        kept = [line for line in path.read_text().splitlines() if not line.startswith("Desc")]
        kept.insert(kept.index("[Unit]") + 1, f"Description={word}")
        path.write_text("\n".join(kept) + "\n")
