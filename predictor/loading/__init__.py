"""TODO: predictor/loading."""
