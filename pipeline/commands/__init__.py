"""The commands of ``python -m pipeline``: their flags, and what a person sees on a terminal.

Imports ``preparation`` to run here and ``kubeflow`` to run on a cluster. It must never know how a
step works. KFP, YAML and progress bars are imported only by the commands that need them.
"""
