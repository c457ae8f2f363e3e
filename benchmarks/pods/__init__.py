"""Cold starts of predictors where they run: on a cluster, in podman, or as a bare process.

This room owns the pod that KServe makes of an InferenceService, and how one is started and timed.
It may import the harness and the models. It must never know the parts of ``make bench``.
"""
