"""The storage initializer: from a URI to a verified model in a pod's folder.

This room owns the order of the work (resolve, find or fill the store, prepare a raw model, place
the files) and its fallbacks. It may import ``store``, ``sources`` and all rooms below them. It must
never import ``pipeline``: a process of its own prepares a raw model.
"""
