"""A TensorRT engine is reused only where nothing that it depends on has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.engine import nvidia
from agent.engine.cache import EngineKey, cache_root, prepare_cache
from agent.engine.nvidia import engine_key, tensorrt_options
from agent.errors import InputError

KEY = EngineKey("ab" * 32, "1.23.0", "560.35", "Orin", "int8")


@pytest.mark.parametrize(
    "change",
    [
        {"model_sha256": "ab" * 31 + "ac"},
        {"runtime": "1.24.0"},
        {"driver": "570.10"},
        {"device": "Orin NX"},
        {"precision": "fp16"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_any_change_gives_another_folder(change: dict[str, str], tmp_path: Path) -> None:
    assert replace(KEY, **change).folder(tmp_path) != KEY.folder(tmp_path)
    assert replace(KEY).folder(tmp_path) == KEY.folder(tmp_path)


def test_the_fields_of_a_key_do_not_run_together(tmp_path: Path) -> None:
    one = replace(KEY, runtime="1.2", driver="3.4").folder(tmp_path)
    assert one != replace(KEY, runtime="1.23", driver=".4").folder(tmp_path)


def test_the_key_is_read_from_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gpus/0000:01:00.0").mkdir(parents=True)
    information = tmp_path / "gpus/0000:01:00.0/information"
    information.write_text("Model: \t NVIDIA L4\nIRQ: 41\nGPU UUID: x\n")
    (tmp_path / "version").write_text("NVRM version: 560.35.03\n")
    monkeypatch.setattr(nvidia, "GPUS", tmp_path / "gpus")
    monkeypatch.setattr(nvidia, "DRIVER", tmp_path / "version")
    key = engine_key(b"model", "1.23.0", "fp16")
    assert key.driver == "NVRM version: 560.35.03"
    assert key.device == "Model: \t NVIDIA L4"
    assert key.model_sha256.startswith("9372c470eeadd5ec")


def test_a_jetson_is_known_by_its_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").write_bytes(b"NVIDIA Jetson Orin Nano\0")
    monkeypatch.setattr(nvidia, "GPUS", tmp_path / "none")
    monkeypatch.setattr(nvidia, "JETSON", tmp_path / "model")
    assert engine_key(b"model", "1", "fp16").device == "NVIDIA Jetson Orin Nano"


@pytest.mark.parametrize(
    ("precision", "fp16", "int8"), [("fp32", "0", "0"), ("fp16", "1", "0"), ("int8", "1", "1")]
)
def test_the_build_allows_the_precision_of_the_file_and_no_lower(
    precision: str, fp16: str, int8: str
) -> None:
    options = tensorrt_options(Path("/cache/key"), precision)
    assert (options["trt_fp16_enable"], options["trt_int8_enable"]) == (fp16, int8)
    for kind in ("engine", "timing"):
        assert options[f"trt_{kind}_cache_enable"] == "1"
        assert options[f"trt_{kind}_cache_path"] == "/cache/key"
    # ONNX Runtime takes text alone.
    assert all(isinstance(value, str) for value in options.values())


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"CACHE_DIRECTORY": "/var/cache/normline"}, "/var/cache/normline/tensorrt"),
        ({"XDG_CACHE_HOME": "/home/a/.c"}, "/home/a/.c/normline/tensorrt"),
        ({}, str(Path.home() / ".cache/normline/tensorrt")),
    ],
    ids=["service", "user with XDG", "user"],
)
def test_engines_are_kept_where_the_user_may_write(
    environment: dict[str, str], expected: str
) -> None:
    assert cache_root("tensorrt", environment) == Path(expected)


def test_a_cache_that_cannot_be_made_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="XDG_CACHE_HOME"):
        prepare_cache(tmp_path / "file" / "tensorrt")
