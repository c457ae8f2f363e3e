"""TODO: predictor/kserve_model."""
