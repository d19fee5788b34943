"""A demo kit around the tiny bundle, calibrated as the shipped one is."""

from __future__ import annotations

import pytest

from agent.bundle import open_bundle
from agent.camera import product
from agent.demo.kit import BUNDLE, PRECISION, Kit
from agent.engine import load_engine
from agent.view import View
from tests.tiny import write_tiny_bundle, write_tiny_record


@pytest.fixture(scope="session")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    kit = Kit(tmp_path_factory.mktemp("kit"))
    bundle = open_bundle(write_tiny_bundle(kit.folder / BUNDLE, product="flange"))
    engine = load_engine(bundle, runtime="openvino", precision=PRECISION)
    view = View.of(bundle)
    parts = (product.render(5, index, 0.0)[0] for index in range(30))
    scores = [engine.infer(view.canvas(part)).score for part in parts]
    write_tiny_record(kit.record("openvino"), bundle, engine.fingerprint, max(scores))
    engine.close()
    return kit
