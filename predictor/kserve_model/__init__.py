"""The served model as KServe knows models: PreparedModel, its codec, KServe's own application.

The only room that imports kserve's server; nothing but the server imports this room.
"""
