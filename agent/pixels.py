"""The version of the pixels that the model is shown; a threshold holds for one version."""

from __future__ import annotations

import cv2

# Raised with every change of what becomes of a camera's image: in `agent.view`, `agent.imaging`,
# `agent.alignment`, `agent.silhouette`, `agent.seen`.
PIXELS = 2
# OpenCV turns and resizes them, from one minor version to the next by other levels.
VIEW = f"{PIXELS} with OpenCV {'.'.join(cv2.__version__.split('.')[:2])}"
