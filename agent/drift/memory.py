"""What a drift monitor has gathered, in a form that outlives the process."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.drift.martingale import BETS
from agent.drift.report import DriftReport

Capital = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Memory(BaseModel):
    """The state of the ranks and of the bets.

    calibration: sha256 of the record that the parts were compared with; counts: of the gaps
    between its scores; raised: the alarm, as it was raised; the others as in `Martingale`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    calibration: str
    counts: list[Annotated[int, Field(ge=1)]]
    parts: Annotated[int, Field(ge=0)]
    aside: Capital
    # A normline with other bets begins anew.
    stakes: Annotated[list[Capital], Field(min_length=len(BETS), max_length=len(BETS))]
    on_rejects: Capital
    raised: DriftReport | None


def read_memory(content: bytes | None, calibration: str) -> Memory | None:
    """The memory, if it is one and of this calibration; evidence against another is none here."""
    if content is None:
        return None
    try:
        memory = Memory.model_validate_json(content)
    except ValidationError:
        return None
    return memory if memory.calibration == calibration else None
