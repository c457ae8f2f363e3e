"""A model for KServe's own server: PreparedModel, its codec, and KServe's application.

Only this room imports KServe's server, and only the server imports this room.
"""
