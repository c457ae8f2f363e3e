"""Measurements of Warmstart beside its baselines, and the demo.

``python -m benchmarks`` runs the parts; demo, fetch, pods and quality are programs of their own. It
may import the product's packages, which never import it. It must never know tests.
"""
