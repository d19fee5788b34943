"""A bundle is used whole and unaltered, or refused with a message that says which it is."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agent.bundle import SEAL, open_bundle, write_bundle
from agent.errors import InputError
from agent.golden import Golden
from tests.tiny import write_tiny_bundle


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.nlb")


def sealed(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A file that passes the seal, whatever it holds: what a careless tool could make."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.comment = SEAL + b"0" * 64
    body = buffer.getvalue()[:-64]
    return body + hashlib.sha256(body).hexdigest().encode()


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_manifest(path: Path, **changes: object) -> dict[str, bytes]:
    members = contents(path)
    manifest = json.loads(members["manifest.json"]) | changes
    return members | {"manifest.json": json.dumps(manifest).encode()}


def test_what_was_written_is_read_back(tiny: Path) -> None:
    bundle = open_bundle(tiny)
    assert bundle.sha256 == hashlib.sha256(tiny.read_bytes()).hexdigest()
    assert bundle.manifest.product == "tiny"
    assert bundle.manifest.input_size == (64, 64)
    assert bundle.precisions == ("fp32", "fp16", "int8")
    assert bundle.model("fp16") == contents(tiny)["model.fp16.onnx"]
    golden = bundle.golden()
    assert golden.frames.shape == (4, 64, 64, 3)
    assert golden.scores.dtype == golden.maps.dtype == np.float32


def test_the_same_content_gives_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    assert write_tiny_bundle(tmp_path / "again.nlb").read_bytes() == tiny.read_bytes()


def test_any_zip_tool_can_list_a_bundle(tiny: Path) -> None:
    with zipfile.ZipFile(tiny) as archive:
        assert archive.testzip() is None


def test_a_flipped_byte_anywhere_is_refused(tiny: Path, tmp_path: Path) -> None:
    data = tiny.read_bytes()
    with zipfile.ZipFile(tiny) as archive:
        starts = [entry.header_offset for entry in archive.infolist()]
        directory = archive.start_dir
    comment = len(data) - len(SEAL) - 64
    # Each member's header and content, the central directory, its end record, the comment with
    # the seal byte by byte, and a walk through the rest.
    positions = {*range(0, len(data), 997), *range(comment - 22, len(data))}
    positions |= {start + offset for start in starts for offset in (0, 10, 26, 31, 60, 400)}
    positions |= set(range(directory, comment, 7))
    altered = tmp_path / "altered.nlb"
    for position in sorted(positions):
        flipped = bytearray(data)
        flipped[position] ^= 0x10
        altered.write_bytes(flipped)
        with pytest.raises(InputError, match="altered or incomplete"):
            open_bundle(altered)


@pytest.mark.parametrize("kept", [0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_bundle_is_refused(tiny: Path, tmp_path: Path, kept: float) -> None:
    data = tiny.read_bytes()
    (tmp_path / "cut.nlb").write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(InputError, match="altered or incomplete"):
        open_bundle(tmp_path / "cut.nlb")


def test_bytes_after_the_end_are_refused(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "long.nlb").write_bytes(tiny.read_bytes() + b"\0")
    with pytest.raises(InputError, match="altered or incomplete"):
        open_bundle(tmp_path / "long.nlb")


@pytest.mark.parametrize(
    "data",
    [b"", b"station: {site: plant1}\n" * 20, b"\x89PNG\r\n\x1a\n" + bytes(500)],
    ids=["empty", "text", "image"],
)
def test_another_kind_of_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "other.nlb").write_bytes(data)
    with pytest.raises(InputError, match="not a normline bundle"):
        open_bundle(tmp_path / "other.nlb")


def test_a_missing_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        open_bundle(tmp_path / "missing.nlb")


def _newer(path: Path) -> bytes:
    return sealed(with_manifest(path, schema=2, unknown_field=1))


def _extra(path: Path) -> bytes:
    return sealed(contents(path) | {"setup.py": b"print()"})


def _extra_in_manifest(path: Path) -> bytes:
    members = contents(path)
    digests = json.loads(members["manifest.json"])["members"]
    digests["setup.py"] = hashlib.sha256(b"print()").hexdigest()
    return sealed(with_manifest(path, members=digests) | {"setup.py": b"print()"})


def _without(name: str) -> Callable[[Path], bytes]:
    return lambda path: sealed({k: v for k, v in contents(path).items() if k != name})


def _directory(path: Path, change: Callable[[bytearray, int], None]) -> bytes:
    """A sealed bundle whose central directory was changed, entry by entry."""
    data = bytearray(sealed(contents(path)))
    (place,) = struct.unpack_from("<I", data, data.rindex(b"PK\x05\x06") + 16)
    while data[place : place + 4] == b"PK\x01\x02":
        change(data, place)
        name, extra, comment = struct.unpack_from("<3H", data, place + 28)
        place += 46 + name + extra + comment
    body = bytes(data[:-64])
    return body + hashlib.sha256(body).hexdigest().encode()


def _overlapping(path: Path) -> bytes:
    """Every member claims nearly all of the file: a hundred of them would fill memory."""

    def claim(data: bytearray, place: int) -> None:
        struct.pack_into("<2I", data, place + 20, len(data) // 2, len(data) // 2)

    return _directory(path, claim)


def _beginning_before_the_file(path: Path) -> bytes:
    def begin(data: bytearray, place: int) -> None:
        end = data.rindex(b"PK\x05\x06")
        struct.pack_into("<I", data, end + 16, len(data) * 2)

    return _directory(path, begin)


def _other_content(path: Path) -> bytes:
    members = contents(path)
    return sealed(members | {"model.int8.onnx": members["model.fp32.onnx"]})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_newer, "schema 2, this normline reads up to 1: update normline"),
        (_extra, "unexpected member setup.py"),
        (_extra_in_manifest, "unexpected member setup.py"),
        (_without("model.int8.onnx"), "names model.int8.onnx, which is missing"),
        (_without("manifest.json"), "no readable manifest"),
        (_other_content, "model.int8.onnx is altered"),
        (lambda p: sealed(with_manifest(p, product=7)), "wrong manifest.json: product"),
        (
            lambda p: sealed(with_manifest(p, tiles={"depth": 1})),
            r"made by a newer normline \(its manifest.json has tiles.depth\): update normline",
        ),
        (lambda p: sealed(with_manifest(p, ignore_mask="m.png")), "needs image_size"),
        (
            lambda p: sealed(
                with_manifest(p, ignore_mask="m.png", image_size=(9, 9), score_pixels=5)
            ),
            "ignore mask m.png is missing",
        ),
        (lambda p: sealed(with_manifest(p, tolerances={})), "has no tolerance"),
        (lambda p: sealed(contents(p), zipfile.ZIP_DEFLATED), "compressed members"),
        (_overlapping, "its members overlap"),
        (_beginning_before_the_file, "not a normline bundle"),
        (lambda p: sealed(with_manifest(p, product="tile\x1b[2J")), "wrong manifest.json: product"),
        (
            lambda p: sealed(with_manifest(p, tiles={"rows": 9000})),
            "manifest.json: tiles.rows",
        ),
        (lambda p: sealed(with_manifest(p, input_size=(0, 8))), "wrong manifest.json: input_size"),
        (lambda p: sealed({}), "no readable manifest"),
        (lambda p: sealed({"manifest.json": b"[" * 100_000}), "no readable manifest"),
    ],
    ids=[
        "newer schema",
        "extra member",
        "extra member in the manifest",
        "missing member",
        "missing manifest",
        "member of another sha256",
        "wrong type",
        "unknown field",
        "ignore mask without its size",
        "missing ignore mask",
        "missing tolerance",
        "compressed",
        "overlapping",
        "members before the file",
        "product that paints on terminals",
        "tiles without end",
        "no frame",
        "empty zip",
        "manifest of brackets",
    ],
)
def test_a_sealed_file_that_is_no_whole_bundle_is_refused(
    tiny: Path, tmp_path: Path, make: Callable[[Path], bytes], message: str
) -> None:
    (tmp_path / "odd.nlb").write_bytes(make(tiny))
    with pytest.raises(InputError, match=message):
        open_bundle(tmp_path / "odd.nlb")


def _fields(path: Path) -> dict[str, object]:
    fields = json.loads(contents(path)["manifest.json"])
    return {name: fields[name] for name in fields if name not in ("schema", "members")}


def test_what_could_not_be_opened_is_not_written(tiny: Path, tmp_path: Path) -> None:
    members = contents(tiny)
    del members["manifest.json"], members["golden.npz"]
    with pytest.raises(InputError, match="golden.npz"):
        write_bundle(tmp_path / "new.nlb", _fields(tiny), members)
    assert list(tmp_path.iterdir()) == []


def test_weights_outside_of_the_bundle_are_refused(tiny: Path, tmp_path: Path) -> None:
    from onnx import StringStringEntryProto, TensorProto

    weights = TensorProto(data_location=TensorProto.EXTERNAL)
    weights.external_data.append(StringStringEntryProto(key="location", value="/etc/passwd"))
    members = contents(tiny) | {"model.fp32.onnx": weights.SerializeToString()}
    del members["manifest.json"]
    with pytest.raises(InputError, match="outside of the bundle"):
        write_bundle(tmp_path / "new.nlb", _fields(tiny), members)


def test_a_failed_write_leaves_the_old_bundle_alone(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        write_tiny_bundle(tmp_path / "missing" / "tiny.nlb")
    folder = tmp_path / "tiny.nlb"
    folder.mkdir()
    with pytest.raises(InputError, match="cannot write"):
        write_tiny_bundle(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.nlb"]


def test_a_missing_precision_names_those_that_are_there(tiny: Path, tmp_path: Path) -> None:
    members = contents(tiny)
    del members["manifest.json"], members["model.int8.onnx"]
    write_bundle(tmp_path / "two.nlb", _fields(tiny), members)
    bundle = open_bundle(tmp_path / "two.nlb")
    assert bundle.precisions == ("fp32", "fp16")
    with pytest.raises(InputError, match="no int8 model: choose one of fp32, fp16"):
        bundle.model("int8")


@pytest.mark.parametrize("spoil", ["deflate", "shape"])
def test_golden_values_that_cannot_be_unpacked_are_refused(
    tiny: Path, tmp_path: Path, spoil: str
) -> None:
    members = contents(tiny)
    golden = bytearray(members["golden.npz"])
    if spoil == "deflate":
        golden[60:90] = bytes(range(30))
    else:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 50,)}
        )
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as made:
            made.writestr("frames.npy", header.getvalue())
        golden = bytearray(archive.getvalue())
    del members["manifest.json"]
    write_bundle(tmp_path / "odd.nlb", _fields(tiny), members | {"golden.npz": bytes(golden)})
    with pytest.raises(InputError, match="golden.npz cannot be read"):
        open_bundle(tmp_path / "odd.nlb").golden()


def test_golden_values_of_another_size_than_the_model_are_refused(
    tiny: Path, tmp_path: Path
) -> None:
    members = contents(tiny)
    del members["manifest.json"]
    write_bundle(tmp_path / "odd.nlb", {**_fields(tiny), "input_size": (32, 32)}, members)
    with pytest.raises(InputError, match="golden maps"):
        open_bundle(tmp_path / "odd.nlb").golden()


def test_pickled_golden_values_are_refused(tiny: Path, tmp_path: Path) -> None:
    pickled = io.BytesIO()
    np.savez(pickled, frames=np.array([{}], object), scores=np.zeros(1), maps=np.zeros(1))
    members = contents(tiny) | {"golden.npz": pickled.getvalue()}
    del members["manifest.json"]
    write_bundle(tmp_path / "odd.nlb", _fields(tiny), members)
    with pytest.raises(InputError, match="golden.npz cannot be read"):
        open_bundle(tmp_path / "odd.nlb").golden()


@pytest.mark.parametrize(
    ("frames", "scores", "maps", "message"),
    [
        ((2, 8, 8, 3), (3,), (2, 8, 8), "golden scores"),
        ((2, 8, 8, 1), (2,), (2, 8, 8), "golden frames"),
        ((0, 8, 8, 3), (0,), (0, 8, 8), "at least one"),
        ((2, 8, 8, 3), (2,), (2, 64), "golden frames"),
    ],
    ids=["count", "channels", "none", "flat maps"],
)
def test_golden_arrays_agree_in_shape(
    frames: tuple[int, ...], scores: tuple[int, ...], maps: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Golden(np.zeros(frames, np.uint8), np.zeros(scores, np.float32), np.zeros(maps, np.float32))


def test_golden_values_are_finite() -> None:
    maps = np.zeros((1, 8, 8), np.float32)
    maps[0, 3, 3] = np.nan
    with pytest.raises(InputError, match="finite"):
        Golden(np.zeros((1, 8, 8, 3), np.uint8), np.zeros(1, np.float32), maps)
