"""The V2 protocol over gRPC: the inference service, its codec, health and reflection.

It imports serving and the rooms below it, never rest; protocol and serving hold the shared code.
"""
