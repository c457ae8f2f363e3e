"""ONNX Runtime without a server around it, each run in a fresh process: the bound to compare with.

This room may import the harness, and of the product what opens sessions, tokenizes and loads. It
must never know which models and variants are measured, or that there are servers.
"""
