"""What a request and its answer hold, whichever transport brought them: messages, parameters,
tensors, texts and tokens. This room imports ``errors`` only; it never knows sessions, queues, HTTP
or gRPC.
"""
