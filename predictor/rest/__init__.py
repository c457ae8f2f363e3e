"""The REST interface: the ASGI application, the table of routes, load shedding and status pages.

It imports serving and the rooms below it, never grpc. Only kserve_model and the server import it.
"""
