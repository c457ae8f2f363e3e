"""TODO: pipeline/export."""
