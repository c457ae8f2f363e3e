"""TODO: pipeline/commands."""
