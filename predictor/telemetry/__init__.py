"""TODO: predictor/telemetry."""
