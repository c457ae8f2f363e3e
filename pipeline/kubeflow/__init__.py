"""The pipeline on Kubeflow: its components and graph, compiling it, and starting runs of it.

Imports ``preparation``, whose steps the components call, and KFP. It must never know of the command
line, and nothing below it knows of KFP.
"""
