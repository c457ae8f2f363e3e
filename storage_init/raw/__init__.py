"""Facts that an unprepared Hugging Face or sentence-transformers folder states: its task, labels,
pooling, limits, graphs and weights. It imports ``base`` and ``format``, and must never fetch, load
or run a model, nor need PyTorch or ONNX.
"""
