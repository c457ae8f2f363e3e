"""TODO: pipeline/recipe."""
