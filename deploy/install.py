#!/usr/bin/env python3
"""Install, upgrade, roll back and remove the normline service. Needs nothing but Python.

    sudo python3 deploy/install.py install WHEEL_OR_SOURCE [--device v4l2] [--find-links WHEELS]
    sudo python3 deploy/install.py rollback
    sudo python3 deploy/install.py uninstall [--purge]

Every version has a virtual environment of its own under /opt/normline/versions, and keeps the units
it was installed with; `current` names the one that runs. Installing what is installed changes
nothing. What does not become ready is taken back; an install that was cut off is run again.
Configuration, keys, the journal and drop-ins of your own are never overwritten.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.metadata
import ipaddress
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
USER = "normline"
DEVICES = ("v4l2", "intel", "jetson", "gpio")
UNITS = ("normline.service", "normline-gate.service")
# In these states a unit runs, or systemd tries to make it run.
RUNNING = ("active", "activating", "reloading", "deactivating")
# In the folder of a version: that it is whole, and the units that it was installed with.
DONE = "complete"
KEPT = "units.json"
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
        self.cache = root / "var/cache/normline"
        # Verdicts while the disk could not be written; it outlives a stop of the service.
        self.runtime = root / "run/normline"
        self.units = root / "etc/systemd/system"
        self.command = root / "usr/local/bin/normline"
        self.current = self.opt / "current"
        self.previous = self.opt / "previous"
        # Names the version to go back to, from before a change until all that runs has taken it.
        self.unfinished = self.opt / "unfinished"
        # The units and drop-ins that the installer has written, a path a line.
        self.written = self.opt / "written"

    def install(
        self,
        source: Path,
        find_links: Path | None,
        devices: Sequence[str],
        networks: Sequence[str],
        gate: bool,
    ) -> None:
        """Install or upgrade; what runs is restarted if it changes, and taken back if it fails."""
        python = Path(sys.executable).resolve()
        if self.live and any(python.is_relative_to(home) for home in ("/root", "/home")):
            raise Refused(f"the service may not enter the home of {python}: use /usr/bin/python3")
        if "gpio" in devices and not (gate or (self.units / UNITS[1]).exists()):
            raise Refused("--device gpio is the reject gate's: add --gate")
        self._make_user()
        version = self._build(source, find_links, gpio="gpio" in devices)
        self._make_station(version)
        before = _target(self.unfinished) or _target(self.current)
        kept = self._units_of(before)
        units = _units(kept, devices, networks, gate)
        self._check_free(units)
        stale = self._stale(version, units)
        # What was not ready before, such as a gate without its file, stands in nobody's way.
        well = [unit for unit, state in self._running().items() if state == "active"]
        well = stale if self.unfinished.is_symlink() else well
        if before is not None:
            self._keep(before, kept)
            _point(self.unfinished, before)
        self._switch(version, units)
        self._link_command()
        failed = self._restart(stale)
        if worse := [unit for unit in failed if unit in well]:
            refusal = f"{version.name} did not become ready (see journalctl -u {worse[0]})"
            if before is not None and (before, kept) != (version, units):
                print(f"{version.name} does not become ready: taking it back", file=sys.stderr)
                self._switch(before, kept)
                again = ", which is not ready either" if self._restart(stale) else ""
                refusal += f": back to {before.name} as it was{again}"
            self._finish()
            raise Refused(refusal)
        self._keep(version, units)
        if before not in (None, version):
            _point(self.previous, before)
        self._finish()
        print(f"normline {version.name} is installed; the station file is {self.etc}/station.yaml")
        if failed:
            raise Refused(f"{failed[0]} is not ready, as before (see journalctl -u {failed[0]})")
        if self.live and before is None:
            print("when it is right: systemctl enable --now normline")

    def rollback(self) -> None:
        """Go back to the version before; a second time, forward again.

        A change that was cut off after it had begun to switch is undone.
        """
        now, before = _target(self.current), _target(self.unfinished) or _target(self.previous)
        if now is None or before is None or not (before / DONE).exists():
            raise Refused("there is no version to go back to")
        # Of a change that was cut off this is the only way out.
        if not (self.unfinished.is_symlink() or self._runs(before)):
            raise Refused(
                f"{before.name} does not run here any more (the system's Python may be another one "
                f"since), {now.name} goes on: to go back, install that version anew"
            )
        units = self._units_of(before)
        if not self.unfinished.is_symlink():
            # A gate that was installed since goes on, as that of the version that is back.
            gate = {p: text for p, text in self._units_of(now).items() if p.startswith(UNITS[1])}
            units = gate | units
        self._check_free(units)
        if not self.unfinished.is_symlink():
            self._keep(now, self._units_of(now))
        _point(self.unfinished, before)
        if now != before and (now / KEPT).exists():
            _point(self.previous, now)
        self._switch(before, units)
        failed = self._restart(self._running())
        self._keep(before, units)
        self._finish()
        if failed:
            raise Refused(f"{before.name} is back, but not ready (see journalctl -u {failed[0]})")
        print(f"normline {before.name} is back")

    def uninstall(self, purge: bool) -> None:
        """Remove the program and its units; with `purge` also configuration, keys and journal."""
        self._put({})
        for unit in UNITS:
            drop_ins = self.units / f"{unit}.d"
            if purge or (drop_ins.is_dir() and not any(drop_ins.iterdir())):
                shutil.rmtree(drop_ins, ignore_errors=True)
        self._systemctl("daemon-reload")
        if self.command.is_symlink():
            self.command.unlink()
        shutil.rmtree(self.opt, ignore_errors=True)
        if purge:
            for folder in (self.etc, self.state, self.cache, self.runtime):
                shutil.rmtree(folder, ignore_errors=True)
            if self._account:
                _run("userdel", USER)
            print("normline is removed, with its configuration, keys and journal")
        else:
            print(f"normline is removed; {self.etc}, {self.state} and {self.cache} are kept")

    @property
    def _account(self) -> pwd.struct_passwd | None:
        """The service's user; none where only files are installed."""
        try:
            return pwd.getpwnam(USER) if self.live else None
        except KeyError:
            return None

    def _make_user(self) -> None:
        if self.live and self._account is None:
            _run(
                "useradd", "--system", "--user-group", "--no-create-home",
                "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", USER,
            )  # fmt: skip

    def _build(self, source: Path, find_links: Path | None, gpio: bool) -> Path:
        """The virtual environment of the source's version, made when it is not there yet.

        gpio: with what drives GPIO lines; a version that follows one with it has it as well.
        """
        options = ["--no-index", f"--find-links={find_links}"] if find_links else []
        with tempfile.TemporaryDirectory(prefix="normline-install-") as temporary:
            wheel = source if source.suffix == ".whl" else _wheel_of(source, Path(temporary))
            version = self.opt / "versions" / _version_of(wheel)
            gpio = gpio or _has_gpio(_target(self.current))
            if not self._runs(version):
                # The system's Python is another one since.
                (version / DONE).unlink(missing_ok=True)
            if (version / DONE).exists() and (_has_gpio(version) or not gpio):
                return version
            # What an installation that was cut off has left.
            if not (version / DONE).exists():
                shutil.rmtree(version, ignore_errors=True)
            version.parent.mkdir(parents=True, exist_ok=True)
            pip = _make_environment(version)
            constraints = HERE.parent / "constraints.txt"
            pinned = ["--constraint", str(constraints)] if constraints.is_file() else []
            wanted = f"{wheel}[gpio]" if gpio else str(wheel)
            _run(*pip, "install", "--quiet", *options, *pinned, wanted)
            _run(str(version / "bin/normline"), "--version", account=self._account)
            (version / DONE).touch()
        return version

    def _runs(self, version: Path) -> bool:
        try:
            _run(str(version / "bin/normline"), "--version", account=self._account)
        except Refused:
            return False
        return True

    def _make_station(self, version: Path) -> None:
        """What the station needs beside the program; nothing that is there is changed."""
        for folder in (self.state, self.cache):
            if not folder.exists():
                # As systemd would at the first start: models are put there before it.
                folder.mkdir(parents=True)
                folder.chmod(0o750)
                if self._account:
                    os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        station = self.etc / "station.yaml"
        if not station.exists():
            # A camera's address may hold its password.
            group = self._account.pw_gid if self._account else -1
            _replace(station, (HERE / "systemd/station.yaml").read_text(), 0o640, group)
        _run(str(version / "bin/normline"), "keys", "create", "--keys", str(self.etc / "keys"))

    def _owned(self) -> set[str]:
        """The units and drop-ins that are the installer's and not a user's."""
        if self.written.exists():
            return set(self.written.read_text().splitlines())
        # Earlier installers kept no list.
        names = (*DEVICES, "network") if self.current.is_symlink() else ()
        return {*UNITS, *(f"{unit}.d/{name}.conf" for unit in UNITS for name in names)}

    def _units_of(self, version: Path | None) -> dict[str, str]:
        """The units a version was installed with, text by path; those that are there if unknown."""
        if version is not None and (version / KEPT).exists():
            try:
                return dict(json.loads((version / KEPT).read_text()))
            except (ValueError, TypeError):
                print(
                    f"{version / KEPT} is damaged: keeping the units as they are", file=sys.stderr
                )
        texts = {path: _text(self.units / path) for path in self._owned()}
        return {path: text for path, text in texts.items() if text is not None}

    def _keep(self, version: Path, units: Mapping[str, str]) -> None:
        _replace(version / KEPT, json.dumps(units, indent=1, sort_keys=True))

    def _check_free(self, units: Mapping[str, str]) -> None:
        for path in sorted(units.keys() - self._owned()):
            if (self.units / path).exists():
                raise Refused(f"{self.units / path} is not the installer's: give it another name")

    def _put(self, units: Mapping[str, str]) -> None:
        """Make these the installer's units, and no others; a user's own drop-ins stay."""
        for path in sorted(self._owned() - units.keys()):
            if path in UNITS and (self.units / path).exists():
                self._systemctl("disable", "--now", path)
            (self.units / path).unlink(missing_ok=True)
        _replace(self.written, "\n".join(sorted(units)))
        for path, text in units.items():
            _replace(self.units / path, text)

    def _switch(self, version: Path, units: Mapping[str, str]) -> None:
        self._put(units)
        _point(self.current, version)
        self._systemctl("daemon-reload")

    def _finish(self) -> None:
        """A change is over: what is neither current nor the version before is not needed."""
        self.unfinished.unlink(missing_ok=True)
        kept = {_target(self.current), _target(self.previous)}
        for version in (self.opt / "versions").iterdir():
            if version not in kept:
                (version / DONE).unlink(missing_ok=True)
                shutil.rmtree(version)

    def _link_command(self) -> None:
        self.command.parent.mkdir(parents=True, exist_ok=True)
        if not self.command.exists() or self.command.is_symlink():
            _point(self.command, self.current / "bin/normline")

    def _running(self) -> dict[str, str]:
        """The state of every unit that runs, or that systemd tries to make run."""
        states = {}
        for unit in UNITS if self._has_systemd else ():
            done = subprocess.run(
                ["systemctl", "is-active", unit], capture_output=True, text=True, check=False
            )
            states[unit] = done.stdout.strip()
        return {unit: state for unit, state in states.items() if state in RUNNING}

    def _stale(self, version: Path, units: Mapping[str, str]) -> list[str]:
        """What runs, or should, and would not be this version under these units."""
        switched = _target(self.current) != version or self.unfinished.is_symlink()
        changed = [
            path
            for path in self._owned() | units.keys()
            if _text(self.units / path) != units.get(path)
        ]
        return [
            unit
            for unit, state in self._running().items()
            if switched or state != "active" or any(path.startswith(unit) for path in changed)
        ]

    def _restart(self, units: Iterable[str]) -> list[str]:
        """Restart the units; returns those that do not become ready.

        With Type=notify, systemctl returns when the unit has said that it is ready, or failed.
        """
        return [unit for unit in units if subprocess.call(["systemctl", "restart", unit]) != 0]

    def _systemctl(self, *arguments: str) -> None:
        if self._has_systemd:
            _run("systemctl", *arguments)

    @property
    def _has_systemd(self) -> bool:
        return self.live and Path("/run/systemd/system").is_dir()


@contextmanager
def _alone(opt: Path) -> Iterator[None]:
    """While it lasts no other install.py is at work; the kernel ends it with the process."""
    opt.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(opt.parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("another install.py is at work: wait until it has ended") from None
        yield
    finally:
        os.close(folder)


def _units(
    kept: Mapping[str, str], devices: Sequence[str], networks: Sequence[str], gate: bool
) -> dict[str, str]:
    """The units and drop-ins, text by path; the gate, devices and networks of `kept` stay."""
    units = dict(kept)
    for unit in UNITS if gate or UNITS[1] in kept else UNITS[:1]:
        units[unit] = (HERE / "systemd" / unit).read_text()
        for device in DEVICES:
            path = f"{unit}.d/{device}.conf"
            asked = device in devices and (device == "gpio") == (unit == UNITS[1])
            if asked or path in kept:
                units[path] = (HERE / f"systemd/devices/{device}.conf").read_text()
        path = f"{unit}.d/network.conf"
        # A gate that is added later connects to the station wherever that is.
        before = kept.get(path, kept.get(f"{UNITS[0]}.d/network.conf"))
        if networks or before:
            allowed = (before or "[Service]\n").splitlines()
            allowed += [f"IPAddressAllow={network}" for network in networks]
            units[path] = "".join(f"{line}\n" for line in dict.fromkeys(allowed))
    return units


def _has_gpio(version: Path | None) -> bool:
    return version is not None and any(version.glob("lib/python*/site-packages/gpiod"))


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
    # Built in the source, root's files would be left there.
    copy = folder / "source"
    shutil.copytree(source, copy, symlinks=True, ignore=_not_of_the_source)
    _run(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder),
        str(copy),
    )  # fmt: skip
    return next(folder.glob("*.whl"))


def _not_of_the_source(folder: str, names: list[str]) -> set[str]:
    """What lies beside it: hidden, built, virtual environments, runs and pictures."""
    beside = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")(folder, names)
    here = Path(folder)
    if (here / "setup.cfg").is_file():
        beside |= {
            name for name in names if (here / name).is_dir() and not _holds_python(here / name)
        }
    return beside


def _holds_python(folder: Path) -> bool:
    return any(folder.glob("*.py")) and not (folder / "pyvenv.cfg").exists()


def _version_of(wheel: Path) -> str:
    """Its version and what is in it: a changed source of the same version is another one."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = sorted((info.filename, info.CRC) for info in archive.infolist())
    except (OSError, zipfile.BadZipFile) as error:
        raise Refused(f"{wheel} is not a wheel: {error}") from error
    parts = wheel.stem.split("-")
    if parts[0] != "normline" or len(parts) not in (5, 6):
        raise Refused(
            f"{wheel} is not named like a wheel of normline: normline-1.0-py3-none-any.whl"
        )
    digest = hashlib.sha256(repr(content).encode()).hexdigest()[:8]
    return f"{parts[1]}-{digest}"


def _target(link: Path) -> Path | None:
    return link.parent / os.readlink(link) if link.is_symlink() else None


def _point(link: Path, target: Path) -> None:
    """Make or change a symbolic link in one step."""
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    os.replace(new, link)


def _text(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def _replace(path: Path, text: str, mode: int = 0o644, group: int = -1) -> None:
    """Write a file in one step, if it is not so already."""
    if _text(path) != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.new")
        with new.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.chmod(mode)
        os.chown(new, -1, group)
        os.replace(new, path)


def _run(*command: str, account: pwd.struct_passwd | None = None) -> None:
    called, options = " ".join(command), dict[str, Any]()
    if account:
        called += f" (as {account.pw_name})"
        options = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": [], "cwd": "/"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    except OSError as error:
        raise Refused(f"{called}: {error.strerror}") from error
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
        raise Refused(f"{called}: {last}")


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}: give one like 192.168.0.0/24") from error


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
        type=_network,
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
    # Whatever root's is: the service's user reads and runs what is made here.
    os.umask(0o022)
    try:
        with _alone(installation.opt):
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
    except KeyboardInterrupt:
        undo = ", or undo it: install.py rollback" if installation.unfinished.is_symlink() else ""
        print(f"install.py: cut off: run it again{undo}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
