"""The store: models on a file system, published atomically and found by name, version or key.

This room owns the store's layout, publication, leases, counters and commands
(``python -m storage_init.store``). It may import ``format`` and ``base``. It must never know where
a model came from or how it is fetched, so it does not import ``sources`` and ``fetch``.
"""
