"""The demo end to end: real service, real subscriber, the tiny model."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.commands.demo import demo, run_demo
from agent.config import load_station
from agent.demo.kit import BUNDLE, Kit
from agent.errors import InputError
from tests.tiny import write_tiny_bundle

PATIENCE_S = 20.0


def test_every_part_arrives_and_the_summary_adds_up(
    kit: Kit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    summary_file = tmp_path / "summary.json"
    assert run_demo(kit, 25, tmp_path / "kept", summary_file) == 0
    summary = json.loads(summary_file.read_text())
    assert summary["parts_received"] == summary["parts_expected"] == 25
    assert summary["gaps"] == summary["skipped"] == 0
    assert sum(sum(row.values()) for row in summary["confusion"].values()) == 25
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("part 0")] == [
        f"{index:06d}" for index in range(25)
    ]
    assert load_station(tmp_path / "kept" / "station.yaml").product.bundle.is_file()


def test_one_part_is_enough(kit: Kit):
    assert run_demo(kit, 1, None, None) == 0


def test_what_the_service_refuses_is_told_in_its_words(kit: Kit, tmp_path: Path):
    other = Kit(tmp_path / "kit")
    shutil.copytree(kit.folder, other.folder)
    write_tiny_bundle(other.folder / BUNDLE, product="another")
    with pytest.raises(InputError, match="calibration was made with bundle"):
        run_demo(other, 5, None, None)


def test_an_unwritable_summary_is_found_out_before_the_run(kit: Kit, tmp_path: Path):
    with pytest.raises(InputError, match="cannot write"):
        run_demo(kit, 5, None, tmp_path / "nowhere" / "summary.json")


@pytest.mark.parametrize("request_to_end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_ends_everything_and_shows_what_came(
    kit: Kit, tmp_path: Path, request_to_end: signal.Signals
):
    script = tmp_path / "demo.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from agent.commands.demo import run_demo\n"
        "from agent.demo.kit import Kit\n"
        f"sys.exit(run_demo(Kit(Path({str(kit.folder)!r})), 100000, None, None))\n"
    )
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment
    )
    with process:
        for line in process.stdout:
            if line.startswith("part 000003"):
                break
        started = [os.pidfd_open(pid) for pid in descendants(process.pid)]
        process.send_signal(request_to_end)
        rest = process.stdout.read()
    assert process.returncode == 130
    assert "of 100000 received" in rest
    # Service with its capture process, and subscriber.
    assert len(started) >= 3
    for descriptor in started:
        ended, _, _ = select.select([descriptor], [], [], PATIENCE_S)
        os.close(descriptor)
        assert ended
    assert not list(tmp_path.glob("normline-demo-*"))


def test_help_shows_an_example():
    result = CliRunner().invoke(demo, ["--help"])
    assert result.exit_code == 0
    assert "normline demo --parts 50" in result.output


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found
