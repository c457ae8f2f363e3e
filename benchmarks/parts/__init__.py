"""TODO: benchmarks/parts."""
