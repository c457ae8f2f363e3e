"""The manifests as tests see them: rendered, held against schemas, and as the pods KServe makes.

It may import the predictor's settings and the benchmarks' pods; it knows no cluster.
"""
