"""Operations on ONNX graphs: check, fuse, rewrite, pool, quantise and save them.

This room knows operators, weights and file layouts. It imports workspace, recipe and storage_init.
It never knows torch, how close a graph's answers must be, or which step calls it.
"""
