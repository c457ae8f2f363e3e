"""Shares one tokenizer between the models of a server whose ``tokenizer.json`` is the same."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from storage_init.base.hashing import sha256_file
from storage_init.running.tokenizer import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.running.tokenizer import Cut


class TokenizerCache:
    """Tokenizers by content and limits, kept as long as a model uses them.

    Models of one family share a vocabulary, and parsing it takes about 30 ms and 10 MB.
    """

    def __init__(self) -> None:
        # Parsing holds the GIL, so waiting for this lock costs nothing extra.
        self._lock = Lock()
        self._open: WeakValueDictionary[tuple[str, int, int, Cut], Tokenizer] = (
            WeakValueDictionary()
        )

    def open(
        self, path: Path, max_length: int, pad_token_id: int, cut: Cut = "longest_first"
    ) -> Tokenizer:
        """The tokenizer in a file; see :class:`Tokenizer`.

        Raises:
            PackageError: the file is not a fast tokenizer.
        """
        try:
            # Hash the file itself: the package's description may be wrong.
            key = (sha256_file(path), max_length, pad_token_id, cut)
        except OSError:  # the tokenizer's error explains it better
            return Tokenizer(path, max_length, pad_token_id, cut)
        with self._lock:
            found = self._open.get(key)
            if found is None:
                found = self._open[key] = Tokenizer(path, max_length, pad_token_id, cut)
        return found
