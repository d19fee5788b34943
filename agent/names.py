"""What parts, products and clients may be called."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

# Identifiers end up in logs and on terminals: no control characters.
Identifier = Annotated[str, Field(max_length=128, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
