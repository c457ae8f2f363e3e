"""TODO: pipeline/graphs/optimization."""
