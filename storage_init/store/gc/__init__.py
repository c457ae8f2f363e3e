"""Garbage collection: which versions stay, who reads them, and their removal in safe steps.

This room owns the retention policy, the search for readers and the trash folder. It may import
the store's ``inventory``, ``layout`` and ``counters``. It must never know how its results are
printed: that is ``output``'s.
"""
