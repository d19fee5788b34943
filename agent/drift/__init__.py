"""Does the calibration still hold? A watch over the scores of passing parts, with few false alarms.

`ranks` turns scores into p-values that are exactly uniform as long as nothing has changed,
`martingale` bets against that, `causes` says what has changed in the pictures, and `monitor` puts
them together for the station.
"""

from agent.drift.monitor import DriftMonitor
from agent.drift.report import DriftReport

__all__ = ["DriftMonitor", "DriftReport"]
