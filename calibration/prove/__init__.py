"""What calibration promises, checked by repetition: `python -m calibration.prove`."""
