"""One run of a calibration command: from the engine and the pictures to normal parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import click

from agent.bundle import Bundle, open_bundle
from agent.camera import Settings
from agent.engine import Engine, load_engine, self_test
from agent.errors import InputError
from calibration.calibrate import collect
from calibration.cross import check_folds
from calibration.defects import TRIED
from calibration.evidence import Promise
from calibration.kept import Keeper
from calibration.normals import Normals
from calibration.progress import ask_for_parts, early_end, name_folders, name_refused, progress
from calibration.sources import Source, open_source, put_first, read_exclusions
from calibration.trained import check_unseen

# What of a manifest says how an image becomes a score; with alignment and mask.
SEEN = (
    "preset", "input_size", "region_of_interest", "image_size", "tiles", "window",
    "score_pixels", "score_square",
)  # fmt: skip

Load = Callable[[Bundle], AbstractContextManager[Engine]]


@dataclass(frozen=True)
class Options:
    """exclude: file of pictures ruled out; save: folder for a camera's pictures; report: whether
    one is wanted.
    """

    exclude: Path | None = None
    save: Path | None = None
    report: bool = False


@dataclass(frozen=True)
class Found:
    """The parts, the camera's settings where they are known, and the bundle's engine, open."""

    normals: Normals
    camera: Settings | None
    engine: Engine


@contextmanager
def checked_engine(
    bundle: Bundle, *, runtime: str, device: str, precision: str
) -> Iterator[Engine]:
    """An engine that has passed its self-test; raises InputError where there is none."""
    engine = load_engine(bundle, runtime=runtime, device=device, precision=precision)
    try:
        self_test(engine, bundle)
        yield engine
    finally:
        engine.close()


@contextmanager
def from_source(
    load: Load,
    bundle: Bundle,
    address: str,
    count: int | None,
    promise: Promise | None,
    options: Options,
) -> Iterator[Found]:
    """Score the parts of a folder, a list or a camera.

    Args:
        load: gives an engine for a bundle.
        bundle: the model.
        address, count: as for `open_source`.
        promise: what the parts must be enough for; None when others stand beside them.
        options: see there.

    Raises:
        InputError: too few pictures for the promise, any of them is wrong, or they are those that
            the model was trained on.
    """
    with ExitStack() as stack:
        with open_source(address, count) as source:
            excluded = _excluded(source, options.exclude)
            if promise is not None:
                promise.check(source.count - len(excluded))
            if source.names is not None:
                name_folders(source.names)
                check_unseen(address, source.names, bundle)
                # Read before its copies, so that these are known.
                source = put_first(excluded, source)
            keeper = None
            if options.save is not None:
                if source.names is not None:
                    raise InputError(
                        "--save is for cameras: the pictures of a folder are kept already"
                    )
                model = None if source.recorded else bundle.sha256
                keeper = Keeper(options.save, source.settings, model)
                source = _gone_on_with(keeper, source)
            engine = stack.enter_context(load(bundle))
            before = len(keeper.paths) if keeper is not None else 0
            began_s = time.monotonic()
            with early_end(source, keeper), progress(source.count) as tell:
                normals = collect(
                    engine,
                    bundle,
                    source,
                    tell,
                    excluded=excluded,
                    canvases_kept=TRIED if options.report else 0,
                    keep=keeper.keep if keeper is not None else None,
                )
            if keeper is not None:
                keeper.finish()
        name_refused(normals)
        if not source.recorded and (taken := len(normals.parts) - before) > 0:
            ask_for_parts(taken, time.monotonic() - began_s)
        if not normals.parts:
            raise InputError(f"none of the pictures of {address} can be used: see above why")
        yield Found(normals, source.settings, engine)


@contextmanager
def from_folds(
    load: Load,
    bundle: Bundle,
    folds: Sequence[tuple[Path, str]],
    promise: Promise,
    options: Options,
) -> Iterator[Found]:
    """Score the images of every fold with the model that was trained without them.

    Args:
        load: gives an engine for a bundle.
        bundle: the model that the station will run, trained on everything.
        folds: (bundle, images) of each.
        promise: what all parts together must be enough for.
        options: see there; pictures of folds are excluded by leaving them out of the lists.

    Raises:
        InputError: a fold's model is this one or sees images otherwise, two folds share an image,
            all together have too few, or the models disagree.
    """
    if options.exclude is not None or options.save is not None:
        raise InputError(
            "--exclude and --save are not for --fold: change the fold's list of images"
        )
    seen = set[str]()
    for path, images in folds:
        names = _images_of_fold(path, images, bundle)
        if twice := names & seen:
            raise InputError(f"{min(twice)} is in two folds: every image belongs to one")
        seen |= names
    promise.check(len(seen))
    parts = []
    for path, images in folds:
        with from_source(load, open_bundle(path), images, None, None, options) as found:
            parts.append(found.normals)
    check_folds([part.scores for part in parts])
    together = Normals()
    for part in parts:
        together.add(part)
    with load(bundle) as engine:
        yield Found(together, None, engine)


def _images_of_fold(path: Path, images: str, bundle: Bundle) -> set[str]:
    """The files that a fold's model has not seen; raises InputError where it is no fold."""
    model = open_bundle(path)
    if model.sha256 == bundle.sha256:
        raise InputError(f"--fold {path} is the model itself: give one trained without {images}")
    if differing := _seen_otherwise(model, bundle):
        raise InputError(
            f"--fold {path} has another {differing} than {bundle.path}, so that its scores "
            "mean something else: train all with the same --preset, --size, --roi, "
            "--ignore-mask, --tiles, --align and --window"
        )
    if "://" in images:
        raise InputError(f"{images} is a camera: a fold is of images that its model has not seen")
    with open_source(images, None) as source:
        return {str(Path(name).resolve()) for name in source.names or ()}


def _seen_otherwise(model: Bundle, other: Bundle) -> str | None:
    """What of an image, or of a map, makes a score in one model and not in the other."""
    for name in SEEN:
        if getattr(model.manifest, name) != getattr(other.manifest, name):
            return name.replace("_", " ")
    if (model.manifest.alignment is None) != (other.manifest.alignment is None):
        return "alignment"
    masks = [
        each.manifest.ignore_mask and each.manifest.members[each.manifest.ignore_mask]
        for each in (model, other)
    ]
    return None if masks[0] == masks[1] else "ignore mask"


def _excluded(source: Source, path: Path | None) -> set[str]:
    if path is None:
        return set()
    if source.names is None:
        raise InputError(
            "--exclude is for folders: keep a camera's pictures with --save, look at them, and "
            "calibrate from that folder"
        )
    return read_exclusions(path, source.names)


def _gone_on_with(keeper: Keeper, source: Source) -> Source:
    """The pictures that an interrupted run has kept, and then the camera's."""
    if there := len(keeper.paths):
        click.echo(f"going on with the {there} pictures in {keeper.folder}", err=True)
    return replace(source, frames=chain(keeper.pictures(), source.frames))
