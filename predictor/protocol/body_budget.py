"""Bounds the bytes of request bodies that the server holds at a time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from predictor.errors import PendingBytesError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator


class BodyBudget:
    """Counts a request's body from its arrival until the request is answered.

    Decoded, a body takes about as much memory, so this bounds the memory of all requests. For one
    event loop.

    Args:
        each: bytes of one body at most.
        total: bytes of all bodies at most; a body that is alone may always have ``each``.

    ``held``: bytes at this moment, over REST and gRPC.
    """

    def __init__(self, each: int, total: int) -> None:
        self.held = 0
        self.each = each
        self._total = max(each, total)

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
