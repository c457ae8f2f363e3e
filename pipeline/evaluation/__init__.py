"""TODO: pipeline/evaluation."""
