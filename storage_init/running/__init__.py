"""Running a prepared model: its tokenizer, ONNX Runtime sessions and providers, pooling,
activations and the host's CPU features. The pipeline and the predictor share it, so that a variant
is measured as it is served. It imports ``base`` and ``format``, and must never know stores, sources
or requests; the storage initializer never imports it.
"""
