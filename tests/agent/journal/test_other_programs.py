"""While a station has its journal open, the file is its own; and what others leave to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.errors import InputError
from agent.journal import Journal, Retention, open_journal
from agent.journal import database as database_module
from agent.journal.files import beside
from tests.agent.journal.filling import record, settle, stored_in


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a service's journal: its log ahead is in memory."""
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    monkeypatch.setattr(database_module, "BUSY_MS", 1)
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk" / "journal.db"


def start(path: Path) -> Journal:
    return open_journal(path, Retention(), "continue")


# Any other program: it opens the file as SQLite does unless told otherwise.
OTHER = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0)
try:
    print(*connection.execute("SELECT COUNT(*) FROM verdicts").fetchone(), flush=True)
except sqlite3.Error as error:
    print(error, flush=True)
sys.stdin.read()
"""


@contextmanager
def other_program(path: Path) -> Iterator[str]:
    """One that has read the journal and keeps it open; what it found."""
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin is not None and other.stdout is not None
        yield other.stdout.readline().strip()
        other.stdin.close()


def test_no_page_that_a_thread_stores_into_is_of_the_disk(path: Path) -> None:
    """It waits for a disk that hangs, and older kernels let the whole process wait with it."""
    journal = start(path)
    record(journal, 3)
    settle(journal)
    reader = journal.reader()
    assert reader.epochs()[0]
    assert f" {path.parent}/" not in Path("/proc/self/maps").read_text()
    assert not beside(path, "-shm").exists()
    reader.close()
    assert journal.close()


def test_another_program_can_open_the_journal_only_once_the_station_has_ended(path: Path) -> None:
    """It would make an index of its own, and know nothing of what the station writes."""
    journal = start(path)
    record(journal, 3)
    settle(journal)
    assert stored_in(journal) == 3  # of which reader nothing is left either
    with other_program(path) as found:
        assert found == "database is locked"
    assert journal.close()
    with other_program(path) as found:
        assert found == "3"


def test_a_journal_that_another_program_has_open_cannot_be_used(path: Path) -> None:
    journal = start(path)
    record(journal, 3)
    journal.close()
    with other_program(path):
        with pytest.raises(InputError, match="another program has it open: end that"):
            open_journal(path, Retention(), "stop")
        elsewhere = start(path)
        assert elsewhere.alarm is not None and "another program has it open" in elsewhere.alarm
        record(elsewhere, 2)
        assert elsewhere.close()
    journal = start(path)
    assert journal.alarm is None and stored_in(journal) == 5
    journal.close()


KILLED = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
with connection:
    connection.execute("UPDATE verdicts SET payload = ?", (b"of the version before",))
os._exit(9)
"""


def test_what_a_killed_version_that_shared_its_index_has_committed_is_there(path: Path) -> None:
    journal = start(path)
    record(journal, 1)
    assert journal.close()
    assert subprocess.run([sys.executable, "-c", KILLED, path], check=False).returncode == 9
    assert beside(path, "-wal").exists() and beside(path, "-shm").exists()
    again = start(path)
    reader = again.reader()
    (stored,) = reader.page(journal.epoch, 0, 2**53, limit=10)
    assert stored.payload == b"of the version before"
    reader.close()
    assert again.close()


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "Linie 3 %41?mode=ro&x#\N{LATIN SMALL LETTER U WITH DIAERESIS}"
    folder.mkdir()
    journal = Journal(folder / "journal.db")
    record(journal, 3)
    settle(journal)
    assert stored_in(journal) == 3
    assert journal.close()
    assert (folder / "journal.db").exists()
