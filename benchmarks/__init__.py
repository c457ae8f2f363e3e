"""Measurements of the real programs, and the demo that shows them at work."""
