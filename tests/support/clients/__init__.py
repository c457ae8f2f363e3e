"""TODO: tests/support/clients."""
