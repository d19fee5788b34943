"""What a drift monitor has gathered, in a form that outlives the process."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.drift.martingale import BETS, TERMS
from agent.drift.report import DriftReport

# Of the bets before a memory named them; left out of it, so that the versions of then read it.
FIRST_TERMS = "cf4f281dde77"
Capital = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Alarm(BaseModel):
    """What any version knows of a memory.

    calibration: sha256 of the record that the parts were compared with; raised: the alarm, as it
    was raised.
    """

    model_config = ConfigDict(frozen=True)

    calibration: str
    raised: DriftReport | None


class Memory(Alarm):
    """The state of the ranks and of the bets.

    counts: of the gaps between the calibration's scores; terms: of the bets; the others as in
    `Martingale`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    counts: list[Annotated[int, Field(ge=1)]]
    parts: Annotated[int, Field(ge=0)]
    aside: Capital
    stakes: list[Capital]
    on_rejects: Capital
    terms: str = FIRST_TERMS

    def to_json(self) -> bytes:
        """As it is noted."""
        return self.model_dump_json(exclude_defaults=True).encode()


def read_memory(content: bytes | None, calibration: str) -> Alarm | None:
    """The memory, if it is one of this calibration; evidence against another is none here.

    Of one that cannot be gone on with, as of a normline with other bets, the alarm alone: that is
    about the calibration.
    """
    if content is None:
        return None
    try:
        alarm = Alarm.model_validate_json(content)
    except ValidationError:
        return None
    if alarm.calibration != calibration:
        return None
    try:
        memory = Memory.model_validate_json(content)
    except ValidationError:
        return alarm
    same = memory.terms == TERMS and len(memory.stakes) == len(BETS)
    return memory if same else alarm
