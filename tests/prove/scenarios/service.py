"""A real systemd: installed, killed, hung, upgraded, reset; sandboxed, and nothing lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import yaml

from agent.verdict import Outcome
from tests.prove.installed import (
    BACK_S,
    ETC,
    GATE,
    KEYS,
    PARTS_A_SECOND,
    PUBLISH,
    STATION,
    Load,
    Site,
    stored_in_the_end,
)
from tests.prove.judgement import judge
from tests.prove.machine import NETWORK, Machine, NoMachine, own_network
from tests.prove.scenario import Check, Work
from tests.prove.station import Follower

# Kills of the service under load.
COUNT = 5
EXPOSURE_LIMIT = 2.0
HUNG_LIMIT_S = 20.0
CAMERA_LIMIT_S = 3.0
STOP_LIMIT_S = 20.0
HEARD_S = 3.0
SUBSCRIBED_S = 1.0
GATED_PARTS = 10
# Longer than a part is at the gate.
SPACING_S = 0.4


def prove(work: Work) -> Iterator[Check]:
    try:
        with ExitStack() as stack:
            machine = stack.enter_context(Machine(work.folder))
            work.say("making the wheels")
            site = Site(machine)
            stack.enter_context(own_network())
            machine.boot()
            yield _installed(site)
            mes, plc = site.admit("mes", "read"), site.admit("plc", "trigger")
            yield _sandboxed(site)
            yield _secret(site)
            yield from _closed(site, mes)
            with Load(plc) as load, Follower(PUBLISH, key=mes) as follower:
                yield _killed(site, work)
                yield _camera_killed(site, follower)
                yield _hung(site)
                yield from _upgraded(site)
                load.stop()
                stored = stored_in_the_end(follower, load.accepted, mes)
                yield from judge(load.triggered, load.accepted, stored, follower)
            yield _reset(site, mes, plc)
            yield from _gated(site, mes)
            yield _stopped(site)
            yield _removed(site)
    except NoMachine as error:
        yield Check("a machine of its own to install on", f"not proven: {error}", False)


def _installed(site: Site) -> Check:
    began_s = time.monotonic()
    installed = site.install("wheels")
    if installed:
        raise RuntimeError(f"the installer says: {site.said}")
    site.set_up_product()
    camera = {"uri": "synthetic://?rate=60&defect_rate=0", "mode": "triggered"}
    site.change_station(camera=camera, publish=PUBLISH, keys=KEYS)
    doctor = site.machine.run("normline", "doctor", "/var/lib/normline/product.nlb").stdout.split()
    site.machine.run("systemctl", "enable", "--now", STATION)
    took_s, active = time.monotonic() - began_s, site.is_active()
    return Check(
        "the steps of service.md make a station of a bare machine, without a network",
        f"install {installed}, doctor ends in {doctor[-1:]}, active: {active}, "
        f"after {took_s:.0f} s; {(site.log() or ['no word'])[-1]}",
        not installed and doctor[-1:] == ["healthy"] and active,
    )


def _sandboxed(site: Site) -> Check:
    lines = site.do("cat", f"/proc/{site.state()['MainPID']}/status").splitlines()
    status = dict(line.split(":\t", 1) for line in lines)
    user = site.do("id", "-u", "normline").strip()
    exposure = site.exposure(STATION)
    return Check(
        f"it runs as a user without rights, exposure at most {EXPOSURE_LIMIT}",
        f"user {status['Uid'].split()[0]}, capabilities {status['CapEff']}, "
        f"no new ones: {status['NoNewPrivs']}, calls filtered: {status['Seccomp']}, "
        f"exposure {exposure}",
        set(status["Uid"].split()) == {user}
        and int(status["CapEff"], 16) == 0
        and (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        and exposure <= EXPOSURE_LIMIT,
    )


def _secret(site: Site) -> Check:
    key = f"{KEYS}/station.key"
    mode = site.do("stat", "--format=%a %U", key).strip()
    read = site.machine.run("runuser", "-u", "normline", "--", "cat", key).returncode == 0
    secret = yaml.safe_load(site.do("cat", key))["secret_key"]
    logged = secret in site.do("journalctl", "--no-pager", "-o", "cat")
    return Check(
        "its secret key is root's, and in no log",
        f"{mode}; the service's user reads it: {read}; in the log: {logged}",
        mode == "600 root" and not read and not logged,
    )


def _closed(site: Site, mes: Path) -> Iterator[Check]:
    before = _is_heard(mes)
    allowed = site.install("wheels", f"--allow-network={NETWORK}")
    after, pid = _is_heard(mes), site.state()["MainPID"]
    yield Check(
        "nobody reaches it from a network until that is let through",
        f"a listed client hears it before: {before}; install --allow-network {allowed}; "
        f"after: {after}",
        not before and not allowed and after,
    )
    again = site.install("wheels", f"--allow-network={NETWORK}")
    same = site.state()["MainPID"] == pid
    yield Check(
        "installed again, it runs on",
        f"install {again}, the same process: {same}",
        not again and same,
    )


def _is_heard(mes: Path) -> bool:
    with Follower(PUBLISH, key=mes) as follower:
        return follower.wait_for(lambda: bool(follower.beats), HEARD_S)


def _killed(site: Site, work: Work) -> Check:
    before = int(site.state()["NRestarts"])
    took_s = []
    for _ in range(work.count):
        time.sleep(work.chance.uniform(0.5, 2.0))
        took_s.append(site.back_after("KILL"))
    restarts = int(site.state()["NRestarts"]) - before
    return Check(
        "killed, it is started again",
        f"{work.count} kills under {PARTS_A_SECOND} parts/s, {restarts} restarts by systemd, "
        f"ready after at most {max(took_s):.1f} s",
        restarts == work.count and site.is_active(),
    )


def _camera_killed(site: Site, follower: Follower) -> Check:
    station = site.state()["MainPID"]
    # It is the child of the server that forks it.
    (camera,) = (pid for server in site.children(station) for pid in site.children(server))
    heard = len(follower.verdicts)
    site.do("kill", "-KILL", camera)
    began_s = time.monotonic()

    def is_back() -> bool:
        outcomes = [verdict.verdict for verdict in follower.verdicts[heard:]]
        return Outcome.NO_DECISION in outcomes and outcomes[-1] is not Outcome.NO_DECISION

    back = follower.wait_for(is_back, BACK_S)
    took_s = time.monotonic() - began_s
    same = site.state()["MainPID"] == station
    return Check(
        f"its camera's process killed, it inspects again within {CAMERA_LIMIT_S:.0f} s",
        f"after {took_s:.1f} s: {back}; the same station: {same}",
        back and took_s <= CAMERA_LIMIT_S and same,
    )


def _hung(site: Site) -> Check:
    took_s = site.back_after("STOP")
    return Check(
        f"hung, systemd ends it and it is back within {HUNG_LIMIT_S:.0f} s",
        f"ready after {took_s:.1f} s",
        took_s <= HUNG_LIMIT_S,
    )


def _upgraded(site: Site) -> Iterator[Check]:
    first = site.version()
    upgrade, active, second = site.install("newer"), site.is_active(), site.version()
    yield Check(
        "an upgrade runs at once",
        f"install {upgrade}, another version: {first != second}, active: {active}",
        not upgrade and first != second and active,
    )
    broken, active, same = site.install("broken"), site.is_active(), site.version() == second
    yield Check(
        "one that does not become ready is taken back",
        f"install {broken}, as before: {same}, active: {active}",
        broken == 2 and same and active,
    )
    back, active, same = site.rollback(), site.is_active(), site.version() == first
    yield Check(
        "a roll back runs the version before",
        f"rollback {back}, the first version: {same}, active: {active}",
        not back and same and active,
    )


def _reset(site: Site, mes: Path, plc: Path) -> Check:
    """All processes end at once, and what was in /run is gone; what was written is not."""
    with Load(plc) as load, Follower(PUBLISH, key=mes) as follower:
        before = stored_in_the_end(follower, set(), mes)
        follower.wait_for(lambda: len(follower.verdicts) > len(before) + PARTS_A_SECOND, BACK_S)
        site.machine.reset()
        site.machine.boot()
        active = site.is_active()
        load.stop()
        after = stored_in_the_end(follower, load.accepted, mes)
    times = Counter(verdict.part_id for verdict in after)
    wrong = [part for part in load.accepted if times[part] != 1]
    numbers = Counter((verdict.epoch, verdict.seq) for verdict in after)
    return Check(
        "reset under load, it is a station again by itself, with one verdict a part",
        f"active: {active}; {len(load.accepted)} parts accepted, {len(wrong)} without exactly one "
        f"verdict; all {len(before)} verdicts from before: {after[: len(before)] == before}; "
        f"most with one number: {max(numbers.values())}",
        active
        and len(load.accepted) > PARTS_A_SECOND
        and not wrong
        and after[: len(before)] == before
        and max(numbers.values()) == 1,
    )


def _gated(site: Site, mes: Path) -> Iterator[Check]:
    installed = site.install("wheels", "--gate")
    site.admit("gate", "read", "trigger")
    site.do("chown", "normline", f"{ETC}/gate.key")
    gate = {
        "station": {"site": "plant1", "line": "line1", "name": "station1"},
        "endpoints": {name: PUBLISH[name] for name in ("verdicts", "commands")},
        "key": "gate.key",
        "sensor": "fifo:///run/normline-gate/parts",
        "output": {"uri": "file:///run/normline-gate/output", "signal": "level"},
        "travel": {"delay_ms": 1500, "window_ms": 100},
        "in_view_ms": 1000,
        "accept_simulated": True,
    }
    site.do("tee", f"{ETC}/gate.yaml", stdin=yaml.safe_dump(gate))
    site.machine.run("systemctl", "enable", "--now", GATE)
    exposure = site.exposure(GATE)
    yield Check(
        f"the gate's service is ready, exposure at most {EXPOSURE_LIMIT}",
        f"install --gate {installed}, active: {site.is_active(GATE)}, exposure {exposure}; "
        f"{(site.log(GATE) or ['no word'])[-1]}",
        not installed and site.is_active(GATE) and exposure <= EXPOSURE_LIMIT,
    )
    took_s = site.back_after("KILL", GATE)
    with Follower(PUBLISH, key=mes) as follower:
        # It has hardly subscribed: the verdict that it does not hear yet it would reject.
        time.sleep(SUBSCRIBED_S)
        parts = {f"gated-{number}" for number in range(GATED_PARTS)}
        for part in sorted(parts):
            site.do("sh", "-c", f"echo {part} > /run/normline-gate/parts")
            time.sleep(SPACING_S)
        follower.wait_for(lambda: parts <= follower.by_part.keys(), HEARD_S)
        outcomes = [follower.by_part[part][0].verdict for part in parts & follower.by_part.keys()]
        time.sleep(gate["travel"]["delay_ms"] / 1000)  # type: ignore[index]
    site.do("systemctl", "stop", GATE)
    passed = sum(outcome is Outcome.PASS for outcome in outcomes)
    said = next((line for line in reversed(site.log(GATE)) if " passed, " in line), "no word")
    yield Check(
        "killed, it is started again, and lets through what has passed",
        f"ready after {took_s:.1f} s; {len(parts)} parts, {passed} PASS; it says: {said}",
        took_s < BACK_S and passed > 0 and said.startswith(f"normline: {passed} passed, "),
    )


def _stopped(site: Site) -> Check:
    began_s = time.monotonic()
    site.do("systemctl", "stop", STATION)
    took_s, state = time.monotonic() - began_s, site.state()
    return Check(
        f"stopped, it ends by itself within {STOP_LIMIT_S:.0f} s",
        f"{state['Result']}, exit code {state['ExecMainStatus']}, after {took_s:.1f} s",
        state["Result"] == "success" and state["ExecMainStatus"] == "0" and took_s < STOP_LIMIT_S,
    )


def _removed(site: Site) -> Check:
    done = site.uninstall()
    places = [f"{place}/normline" for place in ("/opt", "/etc", "/var/lib", "/var/cache", "/run")]
    units = [f"/etc/systemd/system/{unit}" for unit in (STATION, f"{STATION}.d", GATE)]
    left = site.machine.run("ls", "-d", *places, *units).stdout.split()
    user = site.machine.run("id", "normline").returncode == 0
    return Check(
        "uninstall --purge leaves nothing",
        f"uninstall {done}; left: {', '.join(left) or 'nothing'}; its user: {user}",
        not done and not left and not user,
    )
