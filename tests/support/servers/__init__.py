"""Stubs of the servers that the product talks to, over one HTTP server: hubs, buckets, clusters.

They may import the format and the benchmarks' process helpers; they know nothing of the predictor.
"""
