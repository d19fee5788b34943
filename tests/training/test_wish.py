"""What a user asks of a view is read as it is meant, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.errors import InputError
from training.view import Roi
from training.wish import ViewWish, parse_wish


def test_the_words_of_the_command_line() -> None:
    assert parse_wish("1,2,30,40", Path("m.png"), "off", "2x3", "25%", "16:4000") == ViewWish(
        Roi(x=1, y=2, width=30, height=40), Path("m.png"), False, (2, 3), 0.25, (16, 4000)
    )
    assert parse_wish(None, None, "auto", "auto", "12.5%", None) == ViewWish()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("1,2,3", None, "auto", "auto", "0%", None), "--roi 1,2,3"),
        (("1,2,0,9", None, "auto", "auto", "0%", None), "must not be 0"),
        (("9" * 5000 + ",2,3,4", None, "auto", "auto", "0%", None), "--roi 9"),
        ((None, None, "auto", "9" * 5000 + "x1", "0%", None), "--tiles 9"),
        ((None, None, "auto", "three", "0%", None), "--tiles three"),
        ((None, None, "auto", "0x3", "0%", None), "1 to 100"),
        ((None, None, "auto", "50x50", "0%", None), "1 to 100"),
        ((None, None, "auto", "auto", "60%", None), "0% to 50%"),
        ((None, None, "auto", "auto", "0.1", None), "--overlap 0.1"),
        ((None, None, "auto", "auto", "0%", "4095"), "--window 4095"),
        ((None, None, "auto", "auto", "0%", "9:9"), "LOW must be below HIGH"),
        ((None, None, "auto", "auto", "0%", "0:70000"), "below 65536"),
    ],
)
def test_words_that_cannot_be_read_are_refused(words: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_wish(*words)
