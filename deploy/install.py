#!/usr/bin/env python3
"""Install, upgrade, roll back and remove the normline service. Needs nothing but Python.

    sudo python3 deploy/install.py install WHEEL_OR_SOURCE [--device v4l2] [--find-links WHEELS]
    sudo python3 deploy/install.py rollback
    sudo python3 deploy/install.py uninstall [--purge]

Every version has a virtual environment of its own under /opt/normline/versions; `current` names the
one that runs. Installing what is installed changes nothing. A version that does not become ready is
taken back. Configuration, keys and the journal are never overwritten.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
USER = "normline"
DEVICES = ("v4l2", "intel", "jetson", "gpio")
UNITS = ("normline.service", "normline-gate.service")
DONE = "complete"
# The first pip that installs into another environment than its own: no second one is needed there.
PIP_FOR_OTHERS = (22, 3)


class Refused(Exception):
    """Something is in the way; the message says what, and what to do."""


class Installation:
    """The files of an installation below `root`; with another root than /, only the files."""

    def __init__(self, root: Path) -> None:
        self.live = root == Path("/")
        self.opt = root / "opt/normline"
        self.etc = root / "etc/normline"
        self.state = root / "var/lib/normline"
        self.units = root / "etc/systemd/system"
        self.command = root / "usr/local/bin/normline"
        self.current = self.opt / "current"
        self.previous = self.opt / "previous"

    def install(
        self,
        source: Path,
        find_links: Path | None,
        devices: Sequence[str],
        networks: Sequence[str],
        gate: bool,
    ) -> None:
        """Install or upgrade; the service is restarted when it ran, and taken back if it fails."""
        python = Path(sys.executable).resolve()
        if self.live and any(python.is_relative_to(home) for home in ("/root", "/home")):
            raise Refused(f"the service may not enter the home of {python}: use /usr/bin/python3")
        self._make_user()
        version = self._build(source, find_links)
        self._make_station(version)
        self._write_units(devices, networks, gate)
        before = _target(self.current)
        runs = self._runs
        _point(self.current, version)
        self._link_command()
        self._systemctl("daemon-reload")
        if runs and not self._restart() and before not in (None, version):
            print(f"{version.name} does not become ready: taking it back", file=sys.stderr)
            _point(self.current, before)
            shutil.rmtree(version)
            again = "" if self._restart() else ", which is not ready either"
            raise Refused(
                f"{version.name} did not become ready (see journalctl -u normline): "
                f"back to {before.name}{again}"
            )
        if before not in (None, version):
            _point(self.previous, before)
        self._prune()
        print(f"normline {version.name} is installed; the station file is {self.etc}/station.yaml")
        if self.live and before is None:
            print("when it is right: systemctl enable --now normline")

    def rollback(self) -> None:
        """Go back to the version before; a second time, forward again."""
        now, before = _target(self.current), _target(self.previous)
        if now is None or before is None or not (before / DONE).exists():
            raise Refused("there is no version to go back to")
        runs = self._runs
        _point(self.current, before)
        _point(self.previous, now)
        ready = self._restart() if runs else True
        print(f"normline {before.name} is back" + ("" if ready else ", and is not ready either"))

    def uninstall(self, purge: bool) -> None:
        """Remove the program and its units; with `purge` also configuration, keys and journal."""
        for unit in UNITS:
            if (self.units / unit).exists():
                self._systemctl("disable", "--now", unit)
            (self.units / unit).unlink(missing_ok=True)
            shutil.rmtree(self.units / f"{unit}.d", ignore_errors=True)
        self._systemctl("daemon-reload")
        if self.command.is_symlink():
            self.command.unlink()
        shutil.rmtree(self.opt, ignore_errors=True)
        if purge:
            shutil.rmtree(self.etc, ignore_errors=True)
            shutil.rmtree(self.state, ignore_errors=True)
            if self.live and _user_exists():
                _run("userdel", USER)
            print("normline is removed, with its configuration, keys and journal")
        else:
            print(f"normline is removed; {self.etc} and {self.state} are kept")

    def _make_user(self) -> None:
        if self.live and not _user_exists():
            _run(
                "useradd", "--system", "--user-group", "--no-create-home",
                "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", USER,
            )  # fmt: skip

    def _build(self, source: Path, find_links: Path | None) -> Path:
        """The virtual environment of the source's version, made when it is not there yet."""
        options = ["--no-index", f"--find-links={find_links}"] if find_links else []
        with tempfile.TemporaryDirectory(prefix="normline-install-") as temporary:
            wheel = source if source.suffix == ".whl" else _wheel_of(source, Path(temporary))
            version = self.opt / "versions" / _version_of(wheel)
            if (version / DONE).exists():
                return version
            # What an installation that was cut off has left.
            shutil.rmtree(version, ignore_errors=True)
            version.parent.mkdir(parents=True, exist_ok=True)
            pip = _make_environment(version)
            constraints = HERE.parent / "constraints.txt"
            pinned = ["--constraint", str(constraints)] if constraints.is_file() else []
            _run(*pip, "install", "--quiet", *options, *pinned, str(wheel))
            _run(str(version / "bin/normline"), "--version")
            (version / DONE).touch()
        return version

    def _make_station(self, version: Path) -> None:
        """What the station needs beside the program; nothing that is there is changed."""
        self.etc.mkdir(parents=True, exist_ok=True)
        station = self.etc / "station.yaml"
        if not station.exists():
            shutil.copyfile(HERE / "systemd/station.yaml", station)
        _run(str(version / "bin/normline"), "keys", "create", "--keys", str(self.etc / "keys"))

    def _write_units(self, devices: Sequence[str], networks: Sequence[str], gate: bool) -> None:
        self.units.mkdir(parents=True, exist_ok=True)
        for unit in UNITS if gate else UNITS[:1]:
            _replace(self.units / unit, (HERE / "systemd" / unit).read_text())
            drop_ins = self.units / f"{unit}.d"
            drop_ins.mkdir(exist_ok=True)
            for device in devices:
                if (device == "gpio") == (unit == UNITS[1]):
                    text = (HERE / f"systemd/devices/{device}.conf").read_text()
                    _replace(drop_ins / f"{device}.conf", text)
            if networks:
                allowed = "".join(f"IPAddressAllow={network}\n" for network in networks)
                _replace(drop_ins / "network.conf", f"[Service]\n{allowed}")

    def _link_command(self) -> None:
        self.command.parent.mkdir(parents=True, exist_ok=True)
        if not self.command.exists() or self.command.is_symlink():
            _point(self.command, self.current / "bin/normline")

    @property
    def _runs(self) -> bool:
        """Whether the service runs, or systemd tries to make it run."""
        if not self._has_systemd:
            return False
        done = subprocess.run(
            ["systemctl", "is-active", UNITS[0]], capture_output=True, text=True, check=False
        )
        return done.stdout.strip() in ("active", "activating", "reloading")

    def _restart(self) -> bool:
        """Restart the service; False when it does not become ready.

        With Type=notify, systemctl returns when the station has said that it is ready, or failed.
        """
        return subprocess.call(["systemctl", "restart", UNITS[0]]) == 0

    def _prune(self) -> None:
        kept = {_target(self.current), _target(self.previous)}
        for version in (self.opt / "versions").iterdir():
            if version not in kept:
                shutil.rmtree(version)

    def _systemctl(self, *arguments: str) -> None:
        if self._has_systemd:
            _run("systemctl", *arguments)

    @property
    def _has_systemd(self) -> bool:
        return self.live and Path("/run/systemd/system").is_dir()


def _user_exists() -> bool:
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return False
    return True


def _make_environment(folder: Path) -> list[str]:
    """A virtual environment, and the pip that installs into it."""
    if _pip_version() >= PIP_FOR_OTHERS:
        _run(sys.executable, "-m", "venv", "--without-pip", str(folder))
        return [sys.executable, "-m", "pip", "--python", str(folder / "bin/python")]
    _run(sys.executable, "-m", "venv", str(folder))
    return [str(folder / "bin/python"), "-m", "pip"]


def _pip_version() -> tuple[int, ...]:
    try:
        parts = importlib.metadata.version("pip").split(".")
    except importlib.metadata.PackageNotFoundError:
        return ()
    return tuple(int(part) for part in parts[:2] if part.isdecimal())


def _wheel_of(source: Path, folder: Path) -> Path:
    if not (source / "setup.cfg").is_file():
        raise Refused(f"{source} is neither a wheel nor the source of normline")
    _run(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder),
        str(source),
    )  # fmt: skip
    return next(folder.glob("normline-*.whl"))


def _version_of(wheel: Path) -> str:
    """Its version and what is in it: a changed source of the same version is another one."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = sorted((info.filename, info.CRC) for info in archive.infolist())
    except (OSError, zipfile.BadZipFile) as error:
        raise Refused(f"{wheel} is not a wheel: {error}") from error
    digest = hashlib.sha256(repr(content).encode()).hexdigest()[:8]
    return f"{wheel.name.split('-')[1]}-{digest}"


def _target(link: Path) -> Path | None:
    return link.parent / os.readlink(link) if link.is_symlink() else None


def _point(link: Path, target: Path) -> None:
    """Make or change a symbolic link in one step."""
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    os.replace(new, link)


def _replace(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
        raise Refused(f"{' '.join(command)}: {last}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=Path("/"), help=argparse.SUPPRESS)
    actions = parser.add_subparsers(dest="action", required=True)
    install = actions.add_parser("install", help="install or upgrade")
    install.add_argument("source", type=Path, help="a wheel, or the folder of the source")
    install.add_argument(
        "--find-links", type=Path, help="folder of wheels, for a machine without a network"
    )
    install.add_argument(
        "--device", action="append", default=[], choices=DEVICES, help="open a kind of device"
    )
    install.add_argument(
        "--allow-network",
        action="append",
        default=[],
        metavar="NETWORK",
        help="let these addresses through to the service, such as 192.168.0.0/24",
    )
    install.add_argument("--gate", action="store_true", help="install the reject gate's unit too")
    actions.add_parser("rollback", help="go back to the version before")
    uninstall = actions.add_parser("uninstall", help="remove the program and its unit")
    uninstall.add_argument(
        "--purge", action="store_true", help="also configuration, keys and journal"
    )
    given = parser.parse_args(arguments)
    installation = Installation(given.root)
    if installation.live and os.geteuid() != 0:
        print("install.py: error: only root can do this: use sudo", file=sys.stderr)
        return 2
    try:
        if given.action == "install":
            installation.install(
                given.source, given.find_links, given.device, given.allow_network, given.gate
            )
        elif given.action == "rollback":
            installation.rollback()
        else:
            installation.uninstall(given.purge)
    except (Refused, OSError) as error:
        print(f"install.py: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
