"""Figures on disk, beside digests of what they were taken on: what was judged once is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from training.benchmark.judge import Figures
from training.dataset import Dataset
from training.errors import InputError
from training.pixels import PIXELS
from training.run import WEIGHTS

TEST_DIGEST, WEIGHTS_DIGEST, VIEW_VERSION = "test_digest", "weights_digest", "pixels"
FIGURES: TypeAdapter[Figures] = TypeAdapter(Figures)


def digest_of_test(data: Dataset) -> str:
    """sha256 in hex over the test images and masks, in their order."""
    digest = hashlib.sha256()
    for item in data.test:
        digest.update(f"{item.kind} {item.mask_level}\n".encode())
        for path in (item.path, item.mask_path):
            try:
                digest.update(path.read_bytes() if path else b"none")
            except OSError as error:
                raise InputError(f"cannot read {path}: {error.strerror}") from error
    return digest.hexdigest()


def digests(run: Path, tested: str) -> dict[str, str]:
    """What figures of a run are taken on; `tested` is the digest of the test images."""
    weights = (run / WEIGHTS).read_bytes() if (run / WEIGHTS).is_file() else b""
    return {**of_test(tested), WEIGHTS_DIGEST: hashlib.sha256(weights).hexdigest()}


def of_test(tested: str) -> dict[str, str]:
    """The same but for the run: the test images, and how they are brought before a model."""
    return {TEST_DIGEST: tested, VIEW_VERSION: str(PIXELS)}


def read_kept(path: Path) -> dict[str, Any]:
    """What was kept in a file; nothing where there is none, or a damaged one."""
    try:
        kept = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def figures_in(record: Any, digests: Mapping[str, str]) -> Figures | None:
    """The figures in a record; None where it is damaged, of another version or other digests."""
    try:
        if any(record[name] != digest for name, digest in digests.items()):
            return None
        return FIGURES.validate_python(record)
    except (KeyError, TypeError, ValidationError):
        return None
