"""Bounds the memory of requests: their bodies, and what their JSON becomes when it is decoded."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from predictor.errors import PendingBytesError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


# Bytes of CPython's objects: of a value in a list (a pointer and an int), of a string beside its
# characters, of an empty list, of a small dictionary. Source: sys.getsizeof and the allocator's
# classes.
VALUE, STRING, LIST, DICTIONARY = 40, 32, 80, 250
# First bytes of characters in UTF-8 that make a string take four bytes for each of its characters.
WIDE = tuple(bytes([first]) for first in range(0xF0, 0xF5))
# Bytes of requests after which the heap is worth trimming, and below which it is done.
MUCH, LITTLE = 256 * 1024, 32 * 1024


def decoded_size(body: bytes) -> int:
    """Bytes that a JSON body takes when it is decoded, at most; counted without decoding it."""
    lists, dictionaries = body.count(b"["), body.count(b"{")
    values = body.count(b",") + body.count(b":") + lists + dictionaries
    return (
        len(body) * _width(body)
        + values * VALUE
        + body.count(b'"') // 2 * STRING
        + lists * LIST
        + dictionaries * DICTIONARY
    )


def _width(body: bytes) -> int:
    """Bytes of memory for a byte of text: a string is as wide as its widest character."""
    escapes = b"\\u" in body
    if body.isascii() and not escapes:
        return 1
    return 4 if escapes or any(first in body for first in WIDE) else 2


class BodyBudget:
    """Counts a request's body, or what it becomes, from its arrival until it is answered.

    For one event loop.

    Args:
        each: bytes of one body at most.
        total: bytes of all requests at most; a body that is alone may always have ``each``.
        emptied: called when little is held after much was.

    ``held``: bytes at this moment, over REST and gRPC.
    """

    def __init__(self, each: int, total: int, emptied: Callable[[], object] = lambda: None) -> None:
        self.each = each
        self._held = 0
        self._most = 0
        self._total = max(each, total)
        self._emptied = emptied

    @property
    def held(self) -> int:
        return self._held

    @held.setter
    def held(self, size: int) -> None:
        self._held = size
        if size > self._most:
            self._most = size
        elif self._most >= MUCH and size <= LITTLE:
            self._most = size
            self._emptied()

    def check(self, mine: int, more: int) -> None:
        """Check whether a body of which ``mine`` bytes are held may have ``more``.

        Raises:
            TooLargeError: the body is too large.
            PendingBytesError: all bodies together are too large.
        """
        if mine + more > self.each:
            raise TooLargeError(f"the body has more than {self.each} bytes (--max_body_bytes)")
        if self.held + more > self._total:
            raise PendingBytesError(
                f"requests with {self.held} bytes are being answered, and {more} more are above "
                f"{self._total} (--max_pending_bytes)"
            )

    def hold_decoded(self, body: bytes) -> int:
        """Hold what a JSON body takes beyond its own bytes, before it is decoded; returns it.

        Raises:
            TooLargeError: that alone is more than all requests may take.
            PendingBytesError: with it all requests together are too large.
        """
        size = decoded_size(body)
        more = max(0, size - len(body))
        # Text alone, with a few other values, is as large as its body.
        if size > self._total and more > len(body):
            raise TooLargeError(
                f"decoded, the body's values take about {size} bytes, more than {self._total} "
                "(--max_pending_bytes); send fewer values, or binary tensors"
            )
        if self.held > len(body) and self.held + more > self._total:
            raise PendingBytesError(
                f"requests with {self.held} bytes are being answered, and {more} more, which the "
                f"body takes decoded, are above {self._total} (--max_pending_bytes)"
            )
        self.held += more
        return more

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Hold a body that has already arrived.

        Raises:
            TooLargeError: as :meth:`check`.
            PendingBytesError: as :meth:`check`.
        """
        self.check(0, size)
        self.held += size
        try:
            yield
        finally:
            self.held -= size
