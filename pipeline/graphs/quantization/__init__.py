"""TODO: pipeline/graphs/quantization."""
