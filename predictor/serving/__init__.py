"""TODO: predictor/serving."""
