"""Runs the six steps of a preparation in order, reports them, and resumes after an interruption.

Imports the rooms of the pipeline from ``steps`` down, and ``storage_init``. It must never know who
calls it: neither Kubeflow nor the command line.
"""
