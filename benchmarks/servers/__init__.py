"""Servers to compare with, each a process of its own: ``python -m benchmarks.servers.NAME``."""
