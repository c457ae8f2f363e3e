"""TODO: predictor/rest/http."""
