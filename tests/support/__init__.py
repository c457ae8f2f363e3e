"""TODO: tests/support."""
