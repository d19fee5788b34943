"""The station's service: from camera to verdict, for as long as the line runs."""

from agent.service.startup import run_station

__all__ = ["run_station"]
