"""A budget is told to people as they would say it."""

from __future__ import annotations

import pytest

from training.budget import Budget


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (Budget(steps=300), "300 steps"),
        (Budget(seconds=45), "45 seconds"),
        (Budget(seconds=2700), "45 minutes"),
        (Budget(seconds=100), "1.7 minutes"),
        (Budget(seconds=86_400), "1440 minutes"),
    ],
)
def test_in_words(budget: Budget, words: str) -> None:
    assert budget.in_words == words
