"""The tasks of models, one file each: what a task's parameters and a graph's rows mean. This room
imports ``protocol``, ``errors`` and ``storage_init``; it never knows sessions, batches or
transports.
"""
