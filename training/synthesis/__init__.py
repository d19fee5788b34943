"""Synthetic anomalies: what a defect might look like, learned from no defect at all."""

from __future__ import annotations

from training.synthesis.synthesizer import Synthesizer

__all__ = ["Synthesizer"]
