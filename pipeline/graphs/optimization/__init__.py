"""Rewrites of an exported graph at full precision: fusions, pooling, and less work for one token.

This room imports the graph operations around it and storage_init. It never knows quantisation, and
none of its rewrites changes what a text's answer is.
"""
