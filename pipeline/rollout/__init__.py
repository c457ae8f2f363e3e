"""Rollouts: point an InferenceService at a version of the store, prove it, or put the old one back.

Imports the store and the Kubernetes client; knows nothing of recipes, steps or Kubeflow.
"""
