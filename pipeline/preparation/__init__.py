"""TODO: pipeline/preparation."""
