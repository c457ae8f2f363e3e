"""A conformance suite: tiny models of every architecture must answer as their originals do.

It owns the table in docs/models.md. It may import the product, the benchmarks' harness and models,
and tests.support; no other test package may import it but its own tests.
"""
