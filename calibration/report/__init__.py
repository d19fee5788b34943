"""The report on a calibration: one HTML file for people, one JSON file for programs."""

from calibration.report.content import Report, make_report
from calibration.report.write import FORMATS, write_report

__all__ = ["FORMATS", "Report", "make_report", "write_report"]
