"""Whether pictures are those that a model was trained on, whose scores are too low for a limit."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from agent.bundle import Bundle
from agent.errors import InputError


def check_unseen(address: str, names: Sequence[str], bundle: Bundle) -> None:
    """Refuse the images that a model was trained on, where all of them are there.

    Training takes them from one folder, or from one and its subfolders: those beside hide nothing.

    Args:
        address: what names them.
        names: files.
        bundle: the model.

    Raises:
        InputError: they are, or one cannot be read.
    """
    images = [(path, _sha256(path)) for path in map(Path, names)]
    folders = defaultdict[Path, list[tuple[Path, bytes]]](list)
    for image in images:
        folders[image[0].parent].append(image)
    for together in (images, *folders.values()):
        if _data_digest(together) == bundle.manifest.training_data_digest:
            raise InputError(
                f"{address} holds the very images that {bundle.path} was trained on, which score "
                "too low to set a limit: give those that training set aside, in RUN/"
                "calibration.txt, or others that it has not seen"
            )


def _data_digest(images: Iterable[tuple[Path, bytes]]) -> str:
    """Of files with the sha256 of each, as training takes it for a bundle's manifest."""
    digest = hashlib.sha256()
    for name, content in sorted((path.name, content) for path, content in images):
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()


def _sha256(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError as error:
        raise InputError(f"cannot read the image {path}: {error.strerror}") from error
