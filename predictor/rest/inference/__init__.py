"""The protocols that clients speak over REST: V2, V1, OpenAI's embeddings, reranking.

It imports http and serving, and knows nothing of paths.
"""
