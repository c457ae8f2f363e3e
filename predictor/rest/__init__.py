"""The REST interface: one ASGI application, its routes, status pages and load shedding.

It imports serving and the rooms below it, never grpc. Only kserve_model and the server are above.
"""
