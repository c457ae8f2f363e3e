"""TODO: pipeline/graphs."""
