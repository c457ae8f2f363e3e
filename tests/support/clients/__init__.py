"""Clients of the predictor: requests as clients write them, under load, fuzzed, or cut short.

They may import the predictor, the benchmarks' harness and models' names; they start no server.
"""
