"""The installer where a line runs: what fails or is cut off leaves a line that runs as before."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pytest

from deploy.install import DONE, KEPT
from tests.deploy.machine import GATE, STATION, RunningMachine, make_wheel


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunningMachine:
    """1.0 runs on it, with its gate."""
    machine = RunningMachine(tmp_path, monkeypatch)
    machine.describe(STATION, "first")
    machine.describe(GATE, "first")
    assert machine.install("1.0", "--gate", "--device", "v4l2") == 0
    machine.start(STATION, GATE)
    return machine


def runs_as_before(machine: RunningMachine) -> bool:
    return (
        machine.running == "1.0"
        and machine.runs(STATION) == ["1.0", "v4l2.conf", "Description=first"]
        and machine.runs(GATE) == ["1.0", "Description=first"]
        and machine.state(STATION) == machine.state(GATE) == "active"
    )


def test_an_upgrade_restarts_all_that_runs_under_the_new_units(machine: RunningMachine) -> None:
    machine.describe(STATION, "second")
    machine.describe(GATE, "second")
    assert machine.install("1.1") == 0
    assert machine.runs(STATION) == ["1.1", "v4l2.conf", "Description=second"]
    assert machine.runs(GATE) == ["1.1", "Description=second"]


def test_what_does_not_run_is_not_started(machine: RunningMachine) -> None:
    (machine.systemd / f"{GATE}.state").write_text("inactive\n")
    assert machine.install("1.1") == 0
    assert machine.calls() == ["daemon-reload", f"restart {STATION}"]


@pytest.mark.parametrize("unit", [STATION, GATE])
def test_an_upgrade_of_which_one_unit_does_not_become_ready_is_taken_back_with_its_units(
    machine: RunningMachine, capsys: pytest.CaptureFixture[str], unit: str
) -> None:
    machine.describe(STATION, "second")
    machine.describe(GATE, "second")
    machine.broken(f"{unit} 1.1")
    assert machine.install("1.1", "--allow-network", "10.0.0.0/8") == 2
    assert f"journalctl -u {unit}): back to 1.0" in capsys.readouterr().err
    assert runs_as_before(machine)
    assert len(list((machine.opt / "versions").iterdir())) == 1


def test_rollback_goes_back_to_the_units_of_the_version(machine: RunningMachine) -> None:
    machine.describe(STATION, "second")
    assert machine.install("1.1", "--device", "intel") == 0
    assert machine.run("rollback") == 0
    assert runs_as_before(machine)
    assert machine.run("rollback") == 0
    assert machine.runs(STATION) == ["1.1", "intel.conf", "v4l2.conf", "Description=second"]


def test_rollback_to_a_version_that_is_not_ready_fails(
    machine: RunningMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert machine.install("1.1") == 0
    machine.broken(f"{STATION} 1.0")
    assert machine.run("rollback") == 2
    assert "is back, but not ready" in capsys.readouterr().err


def test_rollback_to_a_version_without_a_gate_leaves_the_gate_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = RunningMachine(tmp_path, monkeypatch)
    assert machine.install("1.0") == 0
    assert machine.install("1.1", "--gate") == 0
    machine.start(GATE)
    assert machine.run("rollback") == 0
    assert machine.calls() == ["daemon-reload", f"restart {GATE}"]
    assert machine.runs(GATE)[0] == "1.0"
    for version in ("1.1", "1.2"):
        assert machine.install(version) == 0
        assert machine.runs(GATE)[0] == version


def test_a_gate_that_was_not_ready_before_is_in_no_upgrades_way(
    machine: RunningMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.crashes(GATE)
    machine.broken(f"{GATE} 1")
    assert machine.install("1.1") == 2
    assert f"{GATE} is not ready, as before" in capsys.readouterr().err
    assert machine.running == "1.1" and machine.runs(STATION)[0] == "1.1"


@pytest.mark.parametrize("action", ["daemon-reload", "restart"])
class TestCutOff:
    """Somebody presses Ctrl-C, or the SSH connection is lost, when systemctl is called."""

    @pytest.fixture(autouse=True)
    def upgrade(
        self, machine: RunningMachine, action: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.describe(STATION, "second")
        machine.cut_off_at(action)
        assert machine.install("1.1", "--device", "intel") == 130
        assert "run it again, or undo it: install.py rollback" in capsys.readouterr().err

    def test_run_again_an_upgrade_can_still_be_rolled_back(self, machine: RunningMachine) -> None:
        assert machine.install("1.1", "--device", "intel") == 0
        assert machine.runs(STATION) == ["1.1", "intel.conf", "v4l2.conf", "Description=second"]
        assert machine.runs(GATE)[0] == "1.1"
        assert machine.run("rollback") == 0
        assert runs_as_before(machine)

    def test_run_again_a_version_that_does_not_become_ready_is_taken_back(
        self, machine: RunningMachine
    ) -> None:
        machine.crashes(STATION)
        machine.broken(f"{STATION} 1.1")
        assert machine.install("1.1", "--device", "intel") == 2
        assert runs_as_before(machine)

    def test_rollback_undoes_it(self, machine: RunningMachine) -> None:
        assert machine.run("rollback") == 0
        assert runs_as_before(machine)

    def test_a_rollback_that_is_cut_off_too_goes_back_when_run_again(
        self, machine: RunningMachine, action: str
    ) -> None:
        machine.cut_off_at(action)
        assert machine.run("rollback") == 130
        assert machine.run("rollback") == 0
        assert runs_as_before(machine)


def test_a_rollback_cut_off_and_run_again_still_knows_the_way_forward(
    machine: RunningMachine,
) -> None:
    assert machine.install("1.1") == 0
    machine.cut_off_at("restart")
    assert machine.run("rollback") == 130
    assert machine.run("rollback") == 0
    assert runs_as_before(machine)
    assert machine.run("rollback") == 0
    assert machine.runs(STATION)[0] == "1.1"


def test_a_device_without_which_the_line_ran_is_taken_back_if_it_does_not_run_with_it(
    machine: RunningMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.broken("intel.conf")
    machine.cut_off_at("restart")
    assert machine.install("1.0", "--device", "intel") == 130
    assert machine.install("1.0", "--device", "intel") == 2
    assert "is installed" not in capsys.readouterr().out
    assert runs_as_before(machine)
    assert not (machine.units / f"{STATION}.d/intel.conf").exists()


def test_installing_what_is_installed_leaves_a_running_line_alone(machine: RunningMachine) -> None:
    assert machine.install("1.0", "--device", "v4l2") == 0
    assert machine.calls() == ["daemon-reload"]


def test_installing_what_is_installed_restarts_only_what_is_not_active(
    machine: RunningMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.crashes(STATION)
    assert machine.install("1.0") == 0
    assert machine.calls(forget=True) == ["daemon-reload", f"restart {STATION}"]
    machine.crashes(STATION)
    machine.broken(f"{STATION} 1.0")
    assert machine.install("1.0") == 2
    assert machine.calls() == ["daemon-reload", f"restart {STATION}"]
    assert f"{STATION} is not ready, as before" in capsys.readouterr().err


def test_a_new_drop_in_restarts_only_its_unit(machine: RunningMachine) -> None:
    assert machine.install("1.0", "--device", "gpio") == 0
    assert machine.calls() == ["daemon-reload", f"restart {GATE}"]


def test_a_users_own_drop_ins_outlive_upgrade_rollback_and_uninstall(
    machine: RunningMachine,
) -> None:
    own = [machine.units / f"{STATION}.d/{name}.conf" for name in ("override", "network")]
    for path in own:
        path.write_text("mine")
    assert machine.install("1.1") == 0
    assert machine.run("rollback") == 0
    assert machine.run("uninstall") == 0
    assert [path.read_text() for path in own] == ["mine", "mine"]
    assert sorted(machine.units.rglob("*.*")) == sorted([own[0].parent, *own])
    assert machine.calls()[-3:] == [
        f"disable --now {GATE}",
        f"disable --now {STATION}",
        "daemon-reload",
    ]


def test_a_users_own_drop_in_is_not_overwritten(
    machine: RunningMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    own = machine.units / f"{STATION}.d/network.conf"
    own.write_text("mine")
    assert machine.install("1.1", "--allow-network", "10.0.0.0/8") == 2
    assert f"{own} is not the installer's" in capsys.readouterr().err
    assert own.read_text() == "mine"
    assert runs_as_before(machine)


def test_what_an_earlier_installer_left_is_taken_back_with_its_units(
    machine: RunningMachine,
) -> None:
    (machine.opt / "written").unlink()
    (machine.opt / "current" / KEPT).unlink()
    machine.describe(STATION, "second")
    machine.broken(f"{STATION} 1.1")
    machine.cut_off_at("restart")
    assert machine.install("1.1", "--device", "intel") == 130
    assert machine.install("1.1", "--device", "intel") == 2
    assert runs_as_before(machine)
    assert machine.run("uninstall") == 0
    assert list(machine.units.iterdir()) == []


def test_a_changed_source_of_the_same_version_is_another_one(machine: RunningMachine) -> None:
    """It was mended where it stood, and nothing happened."""
    ran = []
    for content in ("a = 1", "a = 2"):
        wheel = make_wheel(machine.wheels, "1.0")
        with zipfile.ZipFile(wheel, "a") as archive:
            archive.writestr("more.py", content)
        assert machine.run("install", str(wheel), "--find-links", str(machine.wheels)) == 0
        current = (machine.opt / "current").resolve()
        ran.append((current / "lib/python3/site-packages/more.py").read_text())
    assert ran == ["a = 1", "a = 2"]
    assert machine.calls().count(f"restart {STATION}") == 2


def test_a_version_that_was_not_wholly_made_is_not_gone_back_to(
    machine: RunningMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert machine.install("1.1") == 0
    ((machine.opt / "previous").resolve() / DONE).unlink()
    assert machine.run("rollback") == 2
    assert "there is no version to go back to" in capsys.readouterr().err
    assert machine.runs(STATION)[0] == machine.running == "1.1"


def test_a_version_that_was_half_removed_is_not_taken_for_whole(
    machine: RunningMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed again, it would be as it was left."""
    first = (machine.opt / "current").resolve()
    assert machine.install("1.1") == 0
    remove = shutil.rmtree

    def cut_off(folder: Path, *more: object, **options: object) -> None:
        if Path(folder).name == first.name:
            raise KeyboardInterrupt
        remove(folder, *more, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr("deploy.install.shutil.rmtree", cut_off)
        assert machine.install("1.2") == 130
    assert first.exists() and not (first / DONE).exists()
    (first / "bin/normline").unlink()
    (first / "leftover").touch()
    assert machine.install("1.0") == 0
    assert machine.runs(STATION)[0] == machine.running == "1.0"
    assert not (first / "leftover").exists()


def test_a_unit_is_on_the_disk_before_it_has_its_name(
    machine: RunningMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut it would be empty, and systemd start nothing."""
    steps: list[str] = []
    sync, replace = os.fsync, os.replace

    def noted_sync(descriptor: int) -> None:
        steps.append("sync")
        sync(descriptor)

    def noted_replace(new: Path, path: Path) -> None:
        if path == machine.units / STATION:
            steps.append("named")
        replace(new, path)

    machine.describe(STATION, "second")
    monkeypatch.setattr("deploy.install.os.fsync", noted_sync)
    monkeypatch.setattr("deploy.install.os.replace", noted_replace)
    assert machine.install("1.0") == 0
    assert steps[steps.index("named") - 1] == "sync"
