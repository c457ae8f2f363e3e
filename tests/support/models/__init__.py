"""TODO: tests/support/models."""
