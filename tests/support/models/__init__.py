"""Tiny models, their exports and prepared packages, made once; keys; other libraries' answers.

It may import the pipeline, the format and the engine; it knows no server and no client.
"""
