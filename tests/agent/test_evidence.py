"""Pictures are kept within their quota, those of rejects longest, and never at the line's cost."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from agent import evidence as evidence_module
from agent.errors import InputError
from agent.evidence import EvidenceStore
from agent.files import write_atomically
from agent.verdict import Outcome, Reason
from tests.agent.factories import make_verdict

Open = Callable[..., EvidenceStore]
PASS, REJECT, NONE = Outcome.PASS, Outcome.REJECT, Outcome.NO_DECISION


class Disk(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Open]:
    stores: list[EvidenceStore] = []

    def open_store(keep: str = "all", max_mb: float = 10, min_free_mb: float = 0) -> EvidenceStore:
        stores.append(
            EvidenceStore(tmp_path / "kept", keep=keep, max_mb=max_mb, min_free_mb=min_free_mb)
        )
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


def picture(seed: int, height: int = 100) -> np.ndarray:
    """Noise, which no compression makes smaller: about 30 kB."""
    return np.random.default_rng(seed).integers(0, 256, (height, 100, 3), np.uint8)


def keep(store: EvidenceStore, seq: int, outcome: Outcome, height: int = 100) -> None:
    reason = Reason.CAMERA_FAULT if outcome is NONE else None
    store.keep(make_verdict(5, seq, verdict=outcome, reason=reason), picture(seq, height))


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "kept").iterdir())


def written(folder: Path, seq: int) -> Path:
    """The picture of a reject, once it is there."""
    path = folder / "kept" / f"5-{seq:010d}-REJECT.png"
    while not path.exists():
        threading.Event().wait(0.005)
    return path


def test_a_picture_is_kept_pixel_for_pixel_under_its_verdict(
    open_store: Open, tmp_path: Path
) -> None:
    store = open_store("rejects")
    for seq, outcome in enumerate((PASS, REJECT, NONE), start=1):
        keep(store, seq, outcome)
    store.close()
    assert kept(tmp_path) == ["5-0000000002-REJECT.png", "5-0000000003-NO_DECISION.png"]
    read = cv2.imread(str(tmp_path / "kept" / "5-0000000002-REJECT.png"))
    assert np.array_equal(read, picture(2))
    assert (store.fault, store.dropped) == (None, 0)


def test_passed_parts_go_first_then_the_oldest(open_store: Open, tmp_path: Path) -> None:
    store = open_store(max_mb=0.1)  # three pictures
    for seq, outcome in enumerate((REJECT, PASS, PASS, REJECT), start=1):
        keep(store, seq, outcome)
    store.close()
    assert kept(tmp_path) == [
        "5-0000000001-REJECT.png", "5-0000000003-PASS.png", "5-0000000004-REJECT.png",
    ]  # fmt: skip
    # What an earlier run has kept counts.
    store = open_store(max_mb=0.1)
    keep(store, 5, REJECT)
    keep(store, 6, REJECT)
    store.close()
    assert kept(tmp_path) == [f"5-{seq:010d}-REJECT.png" for seq in (4, 5, 6)]


def test_what_somebody_has_moved_away_makes_room_before_anything_goes(
    open_store: Open, tmp_path: Path
) -> None:
    store = open_store(max_mb=0.1)  # three pictures
    keep(store, 1, PASS)
    keep(store, 2, REJECT)
    keep(store, 3, REJECT)
    for path in (written(tmp_path, 2), written(tmp_path, 3)):
        path.unlink()
    keep(store, 4, REJECT)
    keep(store, 5, REJECT)
    store.close()
    assert kept(tmp_path) == [
        "5-0000000001-PASS.png", "5-0000000004-REJECT.png", "5-0000000005-REJECT.png",
    ]  # fmt: skip


def test_pictures_that_are_gone_are_not_counted_for_ever(open_store: Open, tmp_path: Path) -> None:
    store = open_store(max_mb=0.1)  # three pictures
    for seq in (1, 2, 3):
        keep(store, seq, REJECT)
    for path in (written(tmp_path, 2), written(tmp_path, 3)):
        path.unlink()
    keep(store, 4, REJECT, height=200)  # takes the room of the first, and of one that is gone
    keep(store, 5, REJECT)
    store.close()
    assert kept(tmp_path) == ["5-0000000004-REJECT.png", "5-0000000005-REJECT.png"]


def test_on_a_disk_that_others_fill_rejects_are_not_given_up(
    open_store: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    keep(store, 1, REJECT)
    keep(store, 2, PASS)
    store.close()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(10**9, 10**9, 0))
    store = open_store(min_free_mb=1)
    keep(store, 3, REJECT)
    store.close()
    assert kept(tmp_path) == ["5-0000000001-REJECT.png"]
    assert store.fault is not None and "nearly full" in store.fault
    assert store.dropped == 1


def test_it_goes_on_when_there_is_room_again(
    open_store: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(min_free_mb=1)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: Disk(10**9, 10**9, 0))
        keep(store, 1, REJECT)
        while store.fault is None:
            threading.Event().wait(0.005)
    keep(store, 2, REJECT)
    store.close()
    assert store.fault is None
    assert kept(tmp_path) == ["5-0000000002-REJECT.png"]


def test_a_disk_that_hangs_holds_up_nobody_and_what_is_lost_is_counted(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr(evidence_module, "write_atomically", lambda *_: goes_on.wait(10))
    store = open_store()
    for seq in range(1, 31):
        keep(store, seq, REJECT)  # would hang here
    assert store.dropped >= 30 - evidence_module.WAITING - 1
    goes_on.set()


def test_a_picture_that_cannot_be_removed_still_counts_until_it_can(
    open_store: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was forgotten and its bytes were not: with each, the folder held less for ever."""
    store = open_store(max_mb=0.1)  # three pictures
    for seq in (1, 2, 3):
        keep(store, seq, REJECT)
    written(tmp_path, 3)

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError("not yours")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        keep(store, 4, REJECT)
        while store.fault is None:
            threading.Event().wait(0.005)
    assert (store.fault, store.dropped) == ("not yours", 1)
    keep(store, 5, REJECT)
    store.close()
    assert kept(tmp_path) == [f"5-{seq:010d}-REJECT.png" for seq in (2, 3, 5)]
    assert store.fault is None


def test_a_fault_without_words_is_a_fault(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(evidence_module, "write_atomically", fail)
    store = open_store()
    keep(store, 1, REJECT)
    store.close()
    assert (store.fault, store.dropped) == ("MemoryError", 1)


def test_a_picture_that_was_being_written_at_a_power_cut_does_not_lie_there_for_ever(
    open_store: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    keep(store, 1, REJECT)
    store.close()
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", lambda *_: os._exit(9))
        pid = os.fork()
        if pid == 0:
            try:
                write_atomically(tmp_path / "kept" / "5-0000000002-REJECT.png", b"half")
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert len(kept(tmp_path)) == 2
    open_store()
    assert kept(tmp_path) == ["5-0000000001-REJECT.png"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot keep evidence"):
        EvidenceStore(tmp_path / "file" / "kept", keep="all", max_mb=1, min_free_mb=0)
