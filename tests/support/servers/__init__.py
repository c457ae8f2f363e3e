"""TODO: tests/support/servers."""
