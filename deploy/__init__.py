"""From a trained run to the station: export, quantise, verify, bundle, demo product, schemas."""
