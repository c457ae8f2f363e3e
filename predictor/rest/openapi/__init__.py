"""The OpenAPI document of the served models, made anew for each reader.

It imports inference for paths and fields; it answers no request by itself.
"""
