"""TODO: predictor/rest/inference."""
