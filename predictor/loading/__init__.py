"""Takes a model from a folder to an engine that may serve: verification, choice of a variant,
session and tokenizer, self-test and warm-up. This room imports ``engine`` and what lies below it;
it never knows requests, queues or which model is being served.
"""
