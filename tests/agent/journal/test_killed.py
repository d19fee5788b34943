"""A journal whose process is killed, by a real SIGKILL, has all that it called durable."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from agent.errors import InputError
from agent.journal import Journal, OpenPart, Retention, open_journal
from agent.journal.ahead import HALF_BYTES, HEADER
from agent.journal.files import beside
from tests.agent.journal.filling import ROOT, TOPIC, stored_in

WRITE_FOR_EVER = """
import sys
from pathlib import Path
from agent.journal import Journal, OpenPart
journal = Journal(Path(sys.argv[1]))
journal.open_part(OpenPart("never answered", 80.0))
while True:
    part = f"part-{journal.last_seq + 1}"
    journal.open_part(OpenPart(part, None))
    seq = journal.next_seq()
    journal.record(seq, b"v1/a/b/c/verdict/tiny/", b"{}", part)
    print(journal.epoch, seq, journal.durable_seq, flush=True)
"""


def test_a_killed_process_loses_nothing_durable_and_no_number_is_used_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as writing:
        assert writing.stdout is not None
        lines = [writing.stdout.readline() for _ in range(3000)]
        writing.send_signal(signal.SIGKILL)
        lines += [line for line in writing.stdout.read().splitlines() if line.count(" ") == 2]
    epoch = int(lines[0].split()[0])
    numbered = [int(line.split()[1]) for line in lines]
    durable = max(int(line.split()[2]) for line in lines[:-1])

    journal = Journal(path)
    reader = journal.reader()
    assert journal.epoch > epoch
    assert journal.first_seq > max(numbered)
    stored = {each.seq for each in reader.page(epoch, 0, 2**53, limit=10**6)}
    assert set(range(numbered[0], durable + 1)) <= stored
    # A part is open or has its verdict, never both and never neither.
    open_ids = [part.part_id for part in journal.interrupted]
    assert open_ids[0] == "never answered"
    assert set(numbered) <= stored
    assert not {f"part-{seq}" for seq in stored} & set(open_ids)
    reader.close()
    journal.close()


def test_open_parts_wait_for_their_verdict_across_restarts(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    journal.open_part(OpenPart("A17", 80.0))
    journal.open_part(OpenPart("A18", None))
    journal.record(journal.next_seq(), TOPIC, b"{}", answers="A18")
    assert journal.close()

    journal = Journal(path)
    assert journal.interrupted == (OpenPart("A17", 80.0),)
    assert journal.close()  # it ended before it could answer

    journal = Journal(path)
    assert journal.interrupted == (OpenPart("A17", 80.0),)
    journal.record(journal.next_seq(), TOPIC, b"{}", answers="A17")
    assert journal.close()

    journal = Journal(path)
    assert journal.interrupted == ()
    assert journal.close()


NUMBER_WITHOUT_WRITING = """
import os, sqlite3, sys
from pathlib import Path
from agent.journal import Journal
journal = Journal(Path(sys.argv[1]))
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN IMMEDIATE")  # from here on, nobody else can write
print(max(journal.next_seq() for _ in range(400_000)), flush=True)
os._exit(9)
"""


def test_a_disk_that_takes_nothing_costs_no_number_twice(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    numbering = [sys.executable, "-c", NUMBER_WITHOUT_WRITING, str(path)]
    done = subprocess.run(numbering, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    journal = Journal(path)
    assert journal.first_seq > int(done.stdout)
    journal.close()


KILLED_BEFORE_A_COMMIT = """
import os, sqlite3, sys
from pathlib import Path
from agent.journal import Journal, OpenPart
journal = Journal(Path(sys.argv[1]))
journal.open_part(OpenPart("open", 80.0))
assert journal.acknowledge("settle", 1, 1, 10)
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN IMMEDIATE")  # from here on, nothing is committed
journal.open_part(OpenPart("answered", None))
journal.record(journal.next_seq(), b"topic/", b"{}", "answered")
journal.record_late(journal.last_seq, b"late")
print(journal.epoch, journal.durable_seq, flush=True)
os._exit(9)
"""


def test_what_was_not_yet_committed_when_the_process_was_killed_is_there_after_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    killed = [sys.executable, "-c", KILLED_BEFORE_A_COMMIT, str(path)]
    done = subprocess.run(killed, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    epoch, durable = map(int, done.stdout.split())
    assert durable == 0
    for _ in range(2):  # and only once
        journal = Journal(path)
        reader = journal.reader()
        (stored,) = reader.page(epoch, 0, 2**53, limit=10)
        assert (stored.seq, stored.topic, stored.payload) == (1, b"topic/", b"{}")
        assert reader.late_results(epoch) == [(1, b"late")]
        assert journal.interrupted == (OpenPart("open", 80.0),)
        reader.close()
        journal.close()


KILLED_WHILE_ANNOUNCING = """
import os, sys
from pathlib import Path
from agent.journal import Journal
journal = Journal(Path(sys.argv[1]))
journal.record(journal.next_seq(), b"topic/", b"told", announce=lambda: os._exit(9))
"""


def test_what_was_announced_is_there_even_if_nothing_came_after_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    killed = [sys.executable, "-c", KILLED_WHILE_ANNOUNCING, str(path)]
    assert subprocess.run(killed, cwd=ROOT, check=False).returncode == 9
    journal = Journal(path)
    reader = journal.reader()
    (former,), _ = reader.epochs()
    assert [each.payload for each in reader.page(former.epoch, 0, 2**53, limit=10)] == [b"told"]
    reader.close()
    journal.close()


def leave_ahead(path: Path, *entries: object) -> None:
    """What a killed process has left in the log ahead of a journal."""
    bodies = [json.dumps(entry).encode() for entry in entries]
    left = b"".join(HEADER.pack(len(body), zlib.crc32(body)) + body for body in bodies)
    beside(path, ".ahead").write_bytes(left.ljust(2 * HALF_BYTES, b"\0"))


@pytest.mark.parametrize(
    "left",
    [
        ["note", "drift", "{}"],
        ["verdict", 7, "topic/", "{}", None, "newer"],
        ["open", "part", "80"],
        [],
        None,
    ],
    ids=["another kind", "one more value", "another type", "no kind", "no list"],
)
def test_what_a_newer_version_has_left_waits_until_that_takes_it_up(
    tmp_path: Path, left: list[object] | None
) -> None:
    """After a kill and a rollback it was stored as something else, or ended every start."""
    path = tmp_path / "journal.db"
    journal = Journal(path)
    epoch = journal.epoch
    journal.open_part(OpenPart("open", None))
    journal.close()
    known = [epoch, 100, "verdict", 5, "topic/", "{}", "open"]
    leave_ahead(path, known, {"newer": 1} if left is None else [epoch, 101, *left])
    before = beside(path, ".ahead").read_bytes()
    for _ in range(2):
        with pytest.raises(InputError, match="a newer normline, which was ended .* start that"):
            open_journal(path, Retention(), "continue")
    assert beside(path, ".ahead").read_bytes() == before
    # The newer one, which knows what that is, and is not killed.
    leave_ahead(path, known)
    again = open_journal(path, Retention(), "continue")
    assert again.interrupted == () and stored_in(again) == 1
    again.close()


def test_what_a_newer_version_had_stored_before_it_was_killed_is_nobody_s_business(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    journal.close()
    for epoch, ticket in ((journal.epoch, 1), (journal.epoch - 1, 100)):
        leave_ahead(path, [epoch, ticket, "note", "drift", "{}"])
        Journal(path).close()
