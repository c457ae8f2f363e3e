"""TODO: pipeline/report."""
