"""The installer: every run leaves one whole version that runs, and nothing of a user's is lost."""

from __future__ import annotations

import fcntl
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.install import KEPT, Installation, main
from tests.deploy.machine import Machine, make_wheel

# Builds without a network.
BUILD_OTHER = """
import zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "other-1.0-py3-none-any.whl"
    with zipfile.ZipFile(folder + "/" + name, "w") as wheel:
        text = "Metadata-Version: 2.1\\nName: other\\nVersion: 1.0\\n"
        wheel.writestr("other-1.0.dist-info/METADATA", text)
        wheel.writestr("other-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\n")
        wheel.writestr("other-1.0.dist-info/RECORD", "")
    return name
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    machine = Machine(tmp_path_factory.mktemp("install"))
    assert machine.install("1.0", "--device", "v4l2", "--allow-network", "192.168.0.0/24") == 0
    return machine


def test_while_one_is_at_work_a_second_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a lost connection the first may still build, and the second removed what it built."""
    (tmp_path / "opt").mkdir()
    folder = os.open(tmp_path / "opt", os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        assert main(["--root", str(tmp_path), "rollback"]) == 2
        assert "another install.py is at work" in capsys.readouterr().err
    finally:
        os.close(folder)
    assert main(["--root", str(tmp_path), "rollback"]) == 2
    assert "another install.py" not in capsys.readouterr().err


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_installed_runs(machine: Machine) -> None:
    assert machine.running == "1.0"
    units = machine.units
    assert "Type=notify" in (units / "normline.service").read_text()
    assert "video4linux" in (units / "normline.service.d/v4l2.conf").read_text()
    assert "192.168.0.0/24" in (units / "normline.service.d/network.conf").read_text()
    assert not (units / "normline-gate.service").exists()
    link = machine.root / "usr/local/bin/normline"
    assert link.readlink() == machine.opt / "current/bin/normline"


def test_another_network_is_let_through_beside_the_first(machine: Machine) -> None:
    assert machine.install("1.0", "--allow-network", "10.0.0.0/8") == 0
    allowed = (machine.units / "normline.service.d/network.conf").read_text().splitlines()
    assert allowed == [
        "[Service]",
        "IPAddressAllow=192.168.0.0/24",
        "IPAddressAllow=10.0.0.0/8",
    ]


def test_a_network_that_is_none_is_refused(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """systemd passes over a line that it does not understand, and the install looked fine."""
    with pytest.raises(SystemExit) as stopped:
        machine.install("1.0", "--allow-network", "192.168.0.0/244")
    assert stopped.value.code == 2
    assert "give one like 192.168.0.0/24" in capsys.readouterr().err


def test_a_gate_that_is_added_later_reaches_the_station_wherever_it_is(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert machine.install("1.0", "--allow-network", "192.168.0.0/24") == 0
    assert machine.install("1.0", "--gate") == 0
    allowed = (machine.units / "normline-gate.service.d/network.conf").read_text()
    assert "IPAddressAllow=192.168.0.0/24" in allowed


def test_the_folder_for_models_is_there_before_the_first_start(machine: Machine) -> None:
    for name in ("lib", "cache"):
        assert mode(machine.root / "var" / name / "normline") == 0o750


def test_a_version_whose_python_is_gone_is_made_anew(tmp_path: Path) -> None:
    """After an upgrade of the system nothing but uninstalling helped."""
    machine = Machine(tmp_path)
    assert machine.install("1.0") == 0
    python = (machine.opt / "current").resolve() / "bin" / "python"
    python.unlink()
    python.symlink_to("/usr/bin/python0.0")
    assert machine.install("1.0") == 0 and machine.running == "1.0"


def test_a_version_whose_python_is_gone_is_not_gone_back_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line stood: the running version was stopped for one that could not run."""
    machine = Machine(tmp_path)
    assert machine.install("1.0", "--device", "v4l2") == 0
    python = (machine.opt / "current").resolve() / "bin" / "python"
    assert machine.install("1.1", "--allow-network", "10.0.0.0/8") == 0
    python.unlink()
    python.symlink_to("/usr/bin/python0.0")
    assert machine.run("rollback") == 2
    assert "does not run here any more" in capsys.readouterr().err
    assert machine.running == "1.1"
    assert (machine.units / "normline.service.d/network.conf").exists()
    assert not (machine.opt / "unfinished").is_symlink()


def test_units_that_a_power_cut_has_damaged_are_taken_as_they_are(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert machine.install("1.0", "--device", "v4l2") == 0
    ((machine.opt / "current").resolve() / KEPT).write_text("")
    assert machine.install("1.1") == 0 and machine.running == "1.1"
    assert (machine.units / "normline.service.d/v4l2.conf").exists()


def test_gpio_without_a_gate_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Machine(tmp_path).install("1.0", "--device", "gpio") == 2
    assert "add --gate" in capsys.readouterr().err


def test_with_gpio_comes_what_drives_its_lines_and_stays(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    gpiod = "current/lib/python*/site-packages/gpiod"
    assert machine.install("1.0") == 0 and not list(machine.opt.glob(gpiod))
    assert machine.install("1.0", "--gate", "--device", "gpio") == 0
    assert list(machine.opt.glob(gpiod))
    assert machine.install("1.1") == 0 and machine.running == "1.1"
    assert list(machine.opt.glob(gpiod))


def test_only_root_and_the_service_read_the_cameras_password(machine: Machine) -> None:
    assert mode(machine.station) == 0o640


def test_again_changes_nothing(machine: Machine) -> None:
    before = machine.files(), os.readlink(machine.opt / "current")
    assert machine.install("1.0") == 0
    assert (machine.files(), os.readlink(machine.opt / "current")) == before


def test_upgrade_keeps_what_is_the_users_and_rollback_goes_back(machine: Machine) -> None:
    machine.station.write_text("mine")
    assert machine.install("1.1") == 0
    assert machine.running == "1.1"
    assert machine.station.read_text() == "mine"
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


def is_refused(source: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which this is not installed."""
    assert main(["--root", str(source.parent / "root"), "install", str(source)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("source", "message"), [("none.whl", "is not a wheel"), (".", "neither a wheel nor the source")]
)
def test_a_wrong_source_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, message: str
) -> None:
    (tmp_path / "none.whl").write_text("no zip")
    assert message in is_refused(tmp_path / source, capsys)


@pytest.mark.parametrize("name", ["normline.whl", "normline-1.0.whl", "other-1.0-py3-none-any.whl"])
def test_a_wheel_by_another_name_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    renamed = make_wheel(tmp_path, "1.0").rename(tmp_path / name)
    assert "is not named like a wheel of normline" in is_refused(renamed, capsys)


def test_the_source_of_another_program_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "other"
    source.mkdir()
    (source / "setup.cfg").touch()
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "build"\nbackend-path = ["."]\n'
    )
    (source / "build.py").write_text(BUILD_OTHER)
    assert "other-1.0-py3-none-any.whl is not named" in is_refused(source, capsys)


def test_nothing_to_go_back_to_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path), "rollback"]) == 2
    assert "no version to go back to" in capsys.readouterr().err


@pytest.fixture
def secretive_root() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("secretive_root")
def test_under_roots_umask_of_077_the_service_still_reads_its_files(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert machine.install("1.0", "--device", "v4l2") == 0
    for path in machine.root.rglob("*"):
        if path.is_dir():
            own = path in (machine.root / "var/lib/normline", machine.root / "var/cache/normline")
            assert mode(path) == (0o750 if own else 0o755), path
        elif path != machine.station:
            assert mode(path) & 0o444 == 0o444, path
    assert mode(machine.opt / "current/bin/normline") == 0o755
    assert mode(machine.station) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
class TestTheServicesUser:
    """The service's user is nobody, who cannot enter pytest's folders."""

    @pytest.fixture(autouse=True)
    def nobody(self, monkeypatch: pytest.MonkeyPatch) -> pwd.struct_passwd:
        nobody = pwd.getpwnam("nobody")
        monkeypatch.setattr(Installation, "_account", nobody)
        return nobody

    def test_a_program_that_it_cannot_run_is_not_installed(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine = Machine(tmp_path)
        tmp_path.chmod(0o700)
        assert machine.install("1.0") == 2
        assert "(as nobody): Permission denied" in capsys.readouterr().err
        assert not (machine.opt / "current").is_symlink()

    def test_its_group_reads_the_station_file(
        self, tmp_path: Path, nobody: pwd.struct_passwd
    ) -> None:
        machine = Machine(tmp_path)
        installation = Installation(machine.root)
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/normline").symlink_to("/bin/true")
        installation._make_station(tmp_path)
        assert machine.station.stat().st_uid == 0
        assert machine.station.stat().st_gid == nobody.pw_gid
        assert mode(machine.station) == 0o640


def test_uninstall_keeps_the_users_files_and_purge_does_not(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last of this file: the machine is empty afterwards."""
    drop_ins = machine.units / "normline.service.d"
    (drop_ins / "override.conf").write_text("by systemctl edit")
    verdicts = machine.root / "run/normline/journal.db"
    verdicts.parent.mkdir(parents=True)
    verdicts.write_text("of a time in which the disk was full")
    assert machine.run("uninstall") == 0
    told = capsys.readouterr().out
    assert all(str(machine.root / f"var/{name}/normline") in told for name in ("lib", "cache"))
    left = machine.files()
    assert set(left) == {
        "etc/normline/station.yaml",
        "etc/normline/keys/station.key",
        "etc/systemd/system/normline.service.d/override.conf",
        "run/normline/journal.db",
    }
    assert not (machine.root / "usr/local/bin/normline").is_symlink()
    assert machine.run("uninstall", "--purge") == 0
    assert machine.files() == {}
    assert not (machine.root / "var/lib/normline").exists()
    assert not (machine.root / "var/cache/normline").exists()
