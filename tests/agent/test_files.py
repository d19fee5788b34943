"""A file is written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.errors import InputError
from agent.files import check_apart, check_writable, write_atomically


def test_the_content_is_replaced_and_others_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"a longer old content")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_half_way_leaves_the_old_content(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, step, full)
    with pytest.raises(InputError, match="a.json: No space left on device"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    check_writable(tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["missing/a.json", "folder", "file/a.json"])
def test_a_path_that_cannot_be_written_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        check_writable(tmp_path / name)


def test_a_pipe_is_never_replaced_by_a_file(tmp_path: Path) -> None:
    """Root, who could, would so take /dev/null from every program of the machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for write in (check_writable, lambda path: write_atomically(path, b"x")):
        with pytest.raises(InputError, match="pipe: it is no regular file"):
            write(pipe)
    assert pipe.is_fifo()


def test_the_output_of_the_program_is_no_file_wherever_it_leads() -> None:
    """Under `> figures.txt` /dev/stdout is a link to a regular file."""
    with pytest.raises(InputError, match="/dev/stdout: it is no regular file"):
        check_writable(Path("/dev/stdout"))


def test_a_result_is_never_written_over_what_is_read(tmp_path: Path) -> None:
    model = tmp_path / "part.nlb"
    model.touch()
    (tmp_path / "symbolic").symlink_to(model)
    (tmp_path / "hard").hardlink_to(model)
    (tmp_path / "below").mkdir()
    for name in ("part.nlb", "symbolic", "hard", "below/../part.nlb"):
        with pytest.raises(InputError, match=f"{name}: it is read here"):
            check_apart([tmp_path / "new.json", tmp_path / name], [model])
    check_apart([tmp_path / "new.json"], [model])


def test_two_results_are_never_written_to_one_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another result is written there"):
        check_apart([tmp_path / "a.json", tmp_path / "." / "a.json"])
    check_apart([tmp_path / "a.json", tmp_path / "b.json"])
