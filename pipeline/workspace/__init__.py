"""Folders and records of one preparation: where each step leaves its results for the next.

This room owns the names of files in a workspace, the record of finished steps, the evidence and the
estimate of disk space. It imports the recipe and storage_init. It never knows how graphs are made
or measured, and needs neither torch nor onnxruntime.
"""
