"""HTTP itself: a request with its body and deadline, a response, uvicorn's protocol class.

It knows no route and no model's protocol.
"""
