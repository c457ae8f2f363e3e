"""How many bytes of requests' bodies the server holds at this moment, and how many it may."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from predictor.errors import PendingBytesError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Bodies:
    """A request's body counts from when it comes until the request is answered.

    What it is decoded to is as large as it was; so this bounds what requests take in all.

    Args:
        each: bytes of one body at most.
        total: bytes of all; a body that is alone is taken all the same, up to ``each``.

    ``held``: bytes at this moment, of REST and of gRPC. For one event loop.
    """

    def __init__(self, each: int, total: int) -> None:
        self.held = 0
        self.each = each
        self._total = max(each, total)

    def check(self, mine: int, more: int) -> None:
        """Whether a body of which ``mine`` bytes are held may have ``more``.

        Raises:
            TooLargeError: it is longer than one may be.
            PendingBytesError: all together are more than there may be.
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
        """For a body that has come already.

        Raises:
            PendingBytesError: as :meth:`check`.
        """
        self.check(0, size)
        self.held += size
        try:
            yield
        finally:
            self.held -= size
