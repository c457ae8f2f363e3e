"""TODO: predictor/protocol."""
