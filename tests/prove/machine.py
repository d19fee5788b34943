"""A machine with a real systemd, laid over this one's files: nothing of this one is changed."""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

ADDRESS = "10.9.8.7"
NETWORK = "10.9.8.0/24"
DISK = "4g"
BOOT_S = 60.0
CLONE_NEWNET = 0x40000000
# Of this machine's: what it has in them is not the other's.
HIDDEN = (
    "etc/systemd/system",
    "etc/normline",
    "opt/normline",
    "var/lib/normline",
    "var/log/journal",
)

# As the first process of its own process, mount and control group trees; $1 is the disk.
BOOT = """
set -e
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/files,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs sysfs sys -o ro
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount --rbind /dev dev
hostname station
mkdir -p mnt/before
pivot_root . mnt/before
umount -l /mnt/before
# As a machine's own systemd would: what it mounts for credentials must be seen by the services.
mount --make-rshared /
exec env -i container=normline PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    /lib/systemd/systemd --unit=multi-user.target --log-target=null --show-status=no
"""


class NoMachine(Exception):
    """None can be made here; the message says what it takes."""


class Machine:
    """Its files outlive its end: they are on a disk of their own, until `__exit__`.

    Attributes:
        files: put here, before the first boot, what it finds below its root.
    """

    def __init__(self, folder: Path) -> None:
        self._disk = folder / "machine"
        self.files = self._disk / "files"
        self._group = _control_groups() / f"normline-{os.getpid()}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Machine:
        self._disk.mkdir(parents=True, exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "none", str(self._disk)]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            raise NoMachine("mounting its disk needs root")
        try:
            self._group.mkdir()
            for name in ("files", "work", "root"):
                (self._disk / name).mkdir()
            for name in HIDDEN:
                (self.files / name).mkdir(parents=True)
                os.setxattr(self.files / name, "trusted.overlay.opaque", b"y")
        except OSError as error:
            self.__exit__(None, None, None)
            raise NoMachine(f"a file system laid over another, and cgroup2: {error}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.reset()
        subprocess.run(["umount", "-l", str(self._disk)], check=True)
        _remove_group(self._group)

    def boot(self) -> None:
        """Switch it on, and wait until systemd has started what is enabled.

        Raises:
            NoMachine: it does not come up.
        """
        unshare = "unshare --mount --pid --fork --uts --ipc --cgroup"
        group = str(self._group / "cgroup.procs")
        self._process = subprocess.Popen(
            ["sh", "-c", 'echo $$ > "$0" && exec "$@"', group, *unshare.split()]
            + ["bash", "-c", BOOT, "boot", str(self._disk)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        until_s = time.monotonic() + BOOT_S
        while time.monotonic() < until_s and self._process.poll() is None:
            if self.run("systemctl", "is-system-running", "--wait").stdout:
                return
            time.sleep(0.1)
        self.reset()
        said = self._process.stderr.read() if self._process.stderr else b""
        raise NoMachine(f"systemd does not start: {said.decode().strip() or 'no word'}")

    def run(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command on it as root."""
        inside = ["nsenter", f"--target={self._first}", "--all", "--wd"]
        return subprocess.run(
            [*inside, *command], input=stdin, capture_output=True, text=True, check=False
        )

    def do(self, *command: str, stdin: str = "") -> str:
        """The same of a command that must succeed; returns what it wrote."""
        done = self.run(*command, stdin=stdin)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def reset(self) -> None:
        """End all that runs on it at once; what it had in /run is gone."""
        if self._process is not None:
            (self._group / "cgroup.kill").write_text("1")
            self._process.wait()
            while "populated 1" in (self._group / "cgroup.events").read_text():
                time.sleep(0.05)

    @property
    def _first(self) -> int:
        """Its first process, which is systemd."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        return int((children.read_text().split() or ["0"])[0]) if children.exists() else 0


@contextmanager
def own_network() -> Iterator[None]:
    """A network of one address for this thread and what it starts, machines and threads alike.

    Raises:
        NoMachine: it cannot be had.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(CLONE_NEWNET):
            raise NoMachine(f"a network of its own: {os.strerror(ctypes.get_errno())}")
        try:
            for words in ("link set lo up", f"address add {ADDRESS}/32 dev lo"):
                subprocess.run(["ip", *words.split()], check=True)
            yield
        finally:
            libc.setns(before, CLONE_NEWNET)
    finally:
        os.close(before)


def _control_groups() -> Path:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    raise NoMachine("control groups of version 2")


def _remove_group(group: Path) -> None:
    for folder, _, _ in os.walk(group, topdown=False):
        os.rmdir(folder)
