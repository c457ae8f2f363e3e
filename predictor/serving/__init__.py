"""Serves loaded models: which models there are, which version of each answers, and the queue and
the lanes of each version. This room imports ``loading`` and what lies below it; it never knows
HTTP, gRPC or KServe.
"""
