"""TODO: predictor/rest."""
