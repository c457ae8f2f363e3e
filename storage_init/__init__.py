"""The format of prepared models, the store that holds them, and KServe's storage initializer. The
pipeline and the predictor import this package; it must never import either of them.
"""
