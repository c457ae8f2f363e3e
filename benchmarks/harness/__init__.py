"""Processes under measurement, requests to them, this machine, figures and reports.

This room owns everything that more than one benchmark needs, and tests use it to start servers. It
may import the product's packages. It must never know the benchmarks above it, or tests.
"""
