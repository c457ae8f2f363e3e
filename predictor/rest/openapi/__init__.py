"""The OpenAPI document of the served models, made for each request.

It imports inference. It reads paths from the table of routes and answers no request itself.
"""
