"""A compiled engine is used again only if it is the very one that was compiled here."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from agent.bundle import open_bundle
from agent.engine import load_engine, self_test
from agent.engine.cache import SEAL, keep_sealed, prepare_cache, seal_cache
from tests.tiny import write_tiny_bundle


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "normline" / "openvino"


def test_the_second_start_finds_what_the_first_compiled(tmp_path: Path, cache: Path) -> None:
    bundle = open_bundle(write_tiny_bundle(tmp_path / "tiny.nlb"))
    scores = []
    for _ in range(2):
        engine = load_engine(bundle, runtime="openvino", precision="int8")
        scores.append(engine.infer(bundle.golden().frames[1]).score)
        engine.close()
        (folder,) = cache.iterdir()
        (blob,) = folder.glob("*.blob")
        stamp = blob.stat().st_mtime_ns
    assert scores[0] == scores[1]
    assert blob.stat().st_mtime_ns == stamp
    assert (folder / SEAL).is_file()


def test_an_engine_from_the_cache_needs_its_disk_no_more(tmp_path: Path, cache: Path) -> None:
    """Mapped, a page that had to be read again stood in a frame, or killed the process."""
    bundle = open_bundle(write_tiny_bundle(tmp_path / "tiny.nlb"))
    load_engine(bundle, runtime="openvino", precision="fp32").close()
    (blob,) = cache.glob("*/*.blob")
    engine = load_engine(bundle, runtime="openvino", precision="fp32")
    mapped = Path("/proc/self/maps").read_text().splitlines()
    engine.close()
    assert blob.is_file()
    assert [line for line in mapped if str(cache) in line] == []


def test_a_damaged_engine_is_compiled_anew_and_never_scores(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenVINO itself checks the head of its file and takes flipped weights as they are."""
    bundle = open_bundle(write_tiny_bundle(tmp_path / "tiny.nlb"))
    load_engine(bundle, runtime="openvino", precision="int8").close()
    (blob,) = cache.glob("*/*.blob")
    content = bytearray(blob.read_bytes())
    content[-400:] = bytes(byte ^ 0xFF for byte in content[-400:])
    blob.chmod(0o644)
    blob.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        engine = load_engine(bundle, runtime="openvino", precision="int8")
    assert "compiled anew" in caplog.text
    self_test(engine, bundle)
    engine.close()
    assert blob.read_bytes() != content


def test_without_a_place_to_keep_it_the_engine_still_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "file"))
    bundle = open_bundle(write_tiny_bundle(tmp_path / "tiny.nlb"))
    engine = load_engine(bundle, runtime="openvino", precision="int8")
    self_test(engine, bundle)
    engine.close()
    assert "every start compiles anew" in caplog.text


def test_what_nobody_has_loaded_for_a_year_is_removed_and_what_is_used_stays(
    tmp_path: Path,
) -> None:
    """Every model and version that a station ever had was still there."""
    used, unused, new, strange = (tmp_path / name for name in ("used", "unused", "new", "strange"))
    for folder in (used, unused, new, strange):
        folder.mkdir()
        (folder / "compiled.blob").write_bytes(b"engine")
    for folder in (used, unused):
        seal_cache(folder)
        os.utime(folder / SEAL, (0, 0))
    prepare_cache(used)
    keep_sealed(new)
    assert sorted(tmp_path.iterdir()) == [new, strange, used]


def test_only_what_was_sealed_survives(tmp_path: Path) -> None:
    (tmp_path / "kept.engine").write_bytes(b"kept")
    seal_cache(tmp_path)
    (tmp_path / "stray.engine").write_bytes(b"another model's")
    prepare_cache(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.engine", SEAL]
    (tmp_path / SEAL).write_text("not json")
    prepare_cache(tmp_path)
    assert not (tmp_path / "kept.engine").exists()
