"""A journal whose files somebody else has left."""

from __future__ import annotations

import errno
import os
import pwd
from pathlib import Path

import pytest

from agent.errors import InputError
from agent.journal import Journal, files


def test_a_journal_of_another_user_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sudo normline run` once, and the service never started again: "Permission denied"."""

    def denied(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    path = tmp_path / "journal.db"
    monkeypatch.setattr(files, "open", denied, raising=False)
    with pytest.raises(InputError, match="journal.db: Permission denied$"):
        Journal(path)
    path.touch()
    path.with_name("journal.db.lock").touch()
    owner, nobody = pwd.getpwuid(os.geteuid()).pw_name, pwd.getpwnam("nobody")
    monkeypatch.setattr(os, "geteuid", lambda: nobody.pw_uid)
    with pytest.raises(InputError) as refused:
        Journal(path)
    assert f"{owner} owns its files" in str(refused.value)
    told = f"sudo chown nobody: {path} {path}.lock, and run the station as nobody alone"
    assert told in str(refused.value)
