"""How much accuracy the variants of a trained classifier lose: training, sentences, comparison.

This room may import the harness, the models and the pipeline's evaluation. It must never know the
servers or their speed.
"""
