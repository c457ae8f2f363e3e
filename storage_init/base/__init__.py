"""Code that all of ``storage_init`` and the other programs use: errors, settings, logs, hashing,
files, sizes, CPUs and checked names. It imports nothing else of Warmstart, and must never know what
a package, a store or a source is.
"""
