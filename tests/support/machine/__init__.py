"""TODO: tests/support/machine."""
