"""The six steps of a preparation, one a file: each a plain function on a workspace's folders.

Imports ``export``, ``evaluation``, ``report``, ``graphs``, ``workspace`` and ``recipe``. A step
must never know who runs it, or whether this process ran other steps before.
"""
