"""TODO: pipeline/workspace."""
