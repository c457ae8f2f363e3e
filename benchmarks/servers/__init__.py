"""Servers to compare with, each a process of its own: ``python -m benchmarks.servers.NAME``.

This room may import KServe, runtimes and its own tasks. It must never know the rest of benchmarks,
or the product: whatever it imports counts in the starts that are measured.
"""
