"""The prepared-model format, the store that holds it and KServe's storage initializer.

Both other programs import this package; it imports neither of them.
"""
