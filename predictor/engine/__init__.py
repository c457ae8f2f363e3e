"""Runs a model: texts to tokens, tokens to rows, rows to outputs. This room owns the ONNX Runtime
session of a loaded model, its tokenizer and its task. It imports ``protocol``, ``errors`` and
``storage_init``; it never knows queues, transports or how a model was loaded.
"""
