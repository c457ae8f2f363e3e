"""What all kinds of sources share: selecting, downloading, unpacking and checking files.

This room owns retries, resumable downloads, archives and the choice of weights. It may import
``raw``, ``format`` and ``base``. It must never know a single kind of source: it sees only the
``Remote`` protocol.
"""
