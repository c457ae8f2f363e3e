"""TODO: benchmarks/harness."""
