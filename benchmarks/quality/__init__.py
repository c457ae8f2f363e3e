"""The accuracy that a trained classifier's variants lose: training, sentences, comparison.

This room may import the harness, the models and the pipeline's evaluation. It must never know the
servers or their speed.
"""
