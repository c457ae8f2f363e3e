"""HTTP: the request with its body and deadline, the response, uvicorn's protocol class.

It knows nothing of routes and inference protocols.
"""
