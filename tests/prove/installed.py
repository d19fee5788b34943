"""A station installed on a machine of its own, as an engineer does it, and the parts that pass."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
import zipfile
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
import zmq

from agent.config import Publish
from agent.demo.kit import BUNDLE, RECORD, Kit, write_station
from agent.keys import ClientKey
from agent.keys.files import read_secret_file
from agent.verdict import Verdict
from tests.agent.service.process import ROOT
from tests.prove.machine import ADDRESS, Machine
from tests.prove.station import Driver, Follower, stored_verdicts

STATION, GATE = "normline.service", "normline-gate.service"
PYTHON = "/usr/bin/python3"
HOME = "srv/normline"
ETC = "/etc/normline"
KEYS = f"{ETC}/keys"
PUBLISH = {
    name: f"tcp://{ADDRESS}:{port}"
    for name, port in (("verdicts", 5556), ("replay", 5557), ("commands", 5558))
}
PARTS_A_SECOND = 30
SETTLE_S = 30.0
BACK_S = 60.0


class Site:
    """The machine, and what is done at it as root.

    `wheels` is the version that is installed first, `newer` another one, `broken` one whose station
    does not start. `said` is what the installer said last.
    """

    said = ""

    def __init__(self, machine: Machine) -> None:
        """Put onto the machine what somebody without a network there brings along."""
        self.machine = machine
        home = machine.files / HOME
        leave = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "deploy", home / "deploy", ignore=leave)
        shutil.copy(ROOT / "constraints.txt", home)
        _copy_source(home / "source")
        wheel = f"{PYTHON} -m pip wheel -q --constraint constraints.txt --wheel-dir wheels ./source"
        subprocess.run(wheel.split(), cwd=home, check=True)
        shutil.rmtree(home / "source")
        first = self._wheel("wheels")
        for name, file, content in (
            ("newer", "agent/demo/newer.py", b""),
            ("broken", "agent/service/startup.py", b"raise SystemExit(1)"),
        ):
            (home / name).mkdir()
            _change(first, home / name / first.name, file, content)
        endpoints = Publish.model_validate(PUBLISH)
        write_station(home / "demo", Kit(), "openvino", endpoints, None).unlink()

    def install(self, wheels: str, *options: str) -> int:
        """Run the installer; returns its exit code."""
        wheel = f"/{HOME}/{wheels}/{self._wheel(wheels).name}"
        return self._installer("install", wheel, f"--find-links=/{HOME}/wheels", *options)

    def rollback(self) -> int:
        return self._installer("rollback")

    def uninstall(self) -> int:
        return self._installer("uninstall", "--purge")

    def set_up_product(self) -> None:
        """The demo's product, under its names of the station file that is installed."""
        for name, here in ((BUNDLE, "product.nlb"), (RECORD, "product.cal.json")):
            self.do("install", "-m", "644", f"/{HOME}/demo/{name}", f"/var/lib/normline/{here}")

    def change_station(self, **sections: Any) -> None:
        station = yaml.safe_load(self.do("cat", f"{ETC}/station.yaml"))
        self.do("tee", f"{ETC}/station.yaml", stdin=yaml.safe_dump({**station, **sections}))

    def admit(self, client: str, *roles: str) -> Path:
        """Make a key for a client; the file as it is seen from here."""
        out = f"{ETC}/{client}.key"
        words = [word for role in roles for word in ("--role", role)]
        self.do("normline", "keys", "create", client, *words, f"--keys={KEYS}", f"--out={out}")
        return self.machine.files / out[1:]

    def do(self, *command: str, stdin: str = "") -> str:
        return self.machine.do(*command, stdin=stdin)

    def state(self, unit: str = STATION) -> dict[str, str]:
        """What systemd says of a unit."""
        names = "MainPID,ActiveState,NRestarts,Result,ExecMainStatus"
        lines = self.do("systemctl", "show", f"--property={names}", unit).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def is_active(self, unit: str = STATION) -> bool:
        return self.state(unit)["ActiveState"] == "active"

    def version(self) -> str:
        """The one that is current."""
        return self.do("readlink", "-f", "/opt/normline/current")

    def log(self, unit: str = STATION) -> list[str]:
        """The lines of a unit's log."""
        return self.do("journalctl", "-u", unit, "-o", "cat", "--no-pager").splitlines()

    def exposure(self, unit: str) -> float:
        """What systemd thinks of its sandbox as it is installed; 10 is none."""
        said = self.do("systemd-analyze", "security", "--no-pager", unit)
        (figure,) = re.findall(r"exposure level for \S+: ([\d.]+)", said)
        return float(figure)

    def children(self, pid: str) -> list[str]:
        return self.do("sh", "-c", f"cat /proc/{pid}/task/*/children").split()

    def back_after(self, signal: str, unit: str = STATION) -> float:
        """Send a main process a signal; how many seconds it takes until another one is ready."""
        before = self.state(unit)["MainPID"]
        self.do("systemctl", "kill", f"--signal={signal}", "--kill-who=main", unit)
        began_s = time.monotonic()
        while (took_s := time.monotonic() - began_s) < BACK_S:
            state = self.state(unit)
            if state["ActiveState"] == "active" and state["MainPID"] not in (before, "0"):
                break
            time.sleep(0.05)
        return took_s

    def _installer(self, *arguments: str) -> int:
        done = self.machine.run(PYTHON, f"/{HOME}/deploy/install.py", *arguments)
        self.said = (done.stderr or done.stdout).strip()
        return done.returncode

    def _wheel(self, folder: str) -> Path:
        (wheel,) = (self.machine.files / HOME / folder).glob("normline-*.whl")
        return wheel


class Load:
    """Parts that come all the time, in a thread of its own, whether the station is there or not.

    After `stop`, what was triggered and what was accepted.
    """

    def __init__(self, key: Path) -> None:
        self._key = read_secret_file(key, ClientKey)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._trigger, daemon=True)
        self.triggered: set[str] = set()
        self.accepted: set[str] = set()

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """The last part has come; wait for the answers."""
        self._stop.set()
        self._thread.join()

    def _trigger(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        driver = Driver(context, PUBLISH["commands"], self._key)
        name = time.time_ns()
        while not self._stop.is_set():
            driver.trigger(f"{name}-{len(driver.triggered)}")
            driver.listen(1 / PARTS_A_SECOND)
        driver.settle(SETTLE_S)
        driver.close()
        context.term()
        self.triggered, self.accepted = set(driver.triggered), driver.accepted


def stored_in_the_end(follower: Follower, accepted: set[str], key: Path) -> list[Verdict]:
    """All that is stored, once all that was accepted is answered and durable."""
    follower.wait_for(lambda: accepted <= follower.by_part.keys(), SETTLE_S)
    heard, beats = len(follower.beats), follower.beats
    follower.wait_for(
        lambda: len(beats) > heard and beats[-1].durable_seq == beats[-1].last_seq, SETTLE_S
    )
    return stored_verdicts(PUBLISH, read_secret_file(key, ClientKey))


def _copy_source(folder: Path) -> None:
    """What is, or would be, under version control; not the tests."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(listed, cwd=ROOT, text=True).splitlines():
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def _change(wheel: Path, changed: Path, name: str, content: bytes) -> None:
    """Another version: the same wheel, one file of which has another content."""
    with zipfile.ZipFile(wheel) as before, zipfile.ZipFile(changed, "w") as after:
        for each in before.namelist():
            if each != name:
                after.writestr(each, before.read(each))
        after.writestr(name, content)
