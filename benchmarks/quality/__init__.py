"""TODO: benchmarks/quality."""
