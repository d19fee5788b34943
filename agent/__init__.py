"""All that runs at the line: cameras, engine, decision, journal, messaging, service."""

import os
import sys

__version__ = "0.3.0"

# Both runtimes report their use to their makers as they are imported, unless told not to: OpenVINO
# to a service for web pages, ONNX Runtime by a thread and a database below the home, of which it
# maps a page. What a plant does is nobody's business.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
