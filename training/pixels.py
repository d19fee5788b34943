"""The version of the pixels that a model is shown."""

# Raised with every change of what becomes of an image: in `training.view`, `training.images`,
# `training.alignment`, `training.silhouette`, `training.seen`. The agent has the same; a test holds
# them together.
PIXELS = 2
