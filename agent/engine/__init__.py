"""The engine: a bundle's graph on one runtime and device, from frame to score.

    engine = load_engine(open_bundle(path), runtime="openvino", device="CPU", precision="int8")
    self_test(engine, bundle)
    inspection = engine.infer(frame)

A runtime is imported only when an engine of it is loaded.
"""

from agent.engine.base import Engine, EngineFault, Fingerprint, Inspection
from agent.engine.load import RUNTIMES, installed_runtimes, load_engine
from agent.engine.selftest import (
    Deviation,
    deviation,
    golden_scores,
    self_test,
    within_tolerance,
)
from agent.engine.shared import SharedEngine
from agent.manifest import PRECISIONS

__all__ = [
    "PRECISIONS",
    "RUNTIMES",
    "Deviation",
    "Engine",
    "EngineFault",
    "Fingerprint",
    "Inspection",
    "SharedEngine",
    "deviation",
    "golden_scores",
    "installed_runtimes",
    "load_engine",
    "self_test",
    "within_tolerance",
]
