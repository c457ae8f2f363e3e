"""TODO: predictor/engine."""
