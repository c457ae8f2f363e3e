"""From PyTorch to ONNX: the only room that exports, through transformers and PyTorch's tracer.

It imports graphs, workspace and storage_init. It never knows recipes, variants or the steps after
it: callers give it a folder, a class of transformers and an opset. Everything here imports torch,
so callers import it late.
"""
