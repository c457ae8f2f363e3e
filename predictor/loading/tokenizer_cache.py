"""One tokenizer for all models of a server whose ``tokenizer.json`` is the same, byte by byte."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from storage_init.base.hashing import sha256_file
from storage_init.running.runtime import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.running.runtime import Cut


class TokenizerCache:
    """Tokenizers by content and limits, as long as a model uses them.

    Models of one family have one vocabulary; parsing it takes about 30 ms and 10 MB.
    """

    def __init__(self) -> None:
        # Parsing holds the GIL, so that waiting for the lock costs no time of its own.
        self._lock = Lock()
        self._open: WeakValueDictionary[tuple[str, int, int, Cut], Tokenizer] = (
            WeakValueDictionary()
        )

    def __len__(self) -> int:
        return len(self._open)

    def open(
        self, path: Path, max_length: int, pad_token_id: int, cut: Cut = "longest_first"
    ) -> Tokenizer:
        """The tokenizer in a file; see :class:`Tokenizer`.

        Raises:
            PackageError: it is not a fast tokenizer.
        """
        try:
            # By what it holds, not by what a package says that it holds.
            key = (sha256_file(path), max_length, pad_token_id, cut)
        except OSError:  # the tokenizer says it better
            return Tokenizer(path, max_length, pad_token_id, cut)
        with self._lock:
            found = self._open.get(key)
            if found is None:
                found = self._open[key] = Tokenizer(path, max_length, pad_token_id, cut)
        return found
