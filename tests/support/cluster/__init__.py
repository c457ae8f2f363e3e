"""A real cluster as the suite in ``tests/cluster`` uses it: namespaces, stores and services.

It may import the rendered manifests, the clients and the benchmarks' pods; it knows nothing of one
particular cluster. All objects that it makes are in namespaces of its own, or are owned by one.
"""
