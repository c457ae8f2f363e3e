"""What the predictor reports about itself: metrics, the log line and the trace of each request, the
phases of a start. This room imports ``errors`` and ``storage_init.base`` only; it never knows
models, queues, HTTP or gRPC.
"""
