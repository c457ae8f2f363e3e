"""TODO: predictor/rest/openapi."""
