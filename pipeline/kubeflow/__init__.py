"""TODO: pipeline/kubeflow."""
