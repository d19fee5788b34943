"""Reject thresholds from normal samples, with the false-reject rate they support."""
