"""The original: a source as its authors use it, run by the library that they published it for.

This room runs sentence-transformers where a source is an embedder or a cross-encoder, and
transformers' own classes otherwise, on the source's own files; it says which of their settings are
known here. It imports graphs, workspace, recipe and storage_init. It must never read the settings
for the libraries: what is served is compared with what they make of the files. Only
:mod:`pipeline.original.inspection` and what it imports work without torch; callers import the
others late.
"""
