"""DiffusionAD in PyTorch: diffusion, networks, anomaly synthesis, data, trainer, metrics."""
