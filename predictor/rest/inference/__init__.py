"""The protocols that clients speak over REST: V2, V1, OpenAI's embeddings, reranking.

It imports http and serving; it never knows the application that routes requests to it.
"""
