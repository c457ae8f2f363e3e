"""Resolve a source's revision in a thread while other work goes on."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

from storage_init import sources
from storage_init.base.errors import UnreachableError
from storage_init.base.uris import shown

if TYPE_CHECKING:
    from storage_init.format.package import Source

# A pod waits and the store has an older version to serve, so give up soon.
RETRIES = 1
PATIENCE_SECONDS = 10.0


class RevisionCheck:
    """A call of ``sources.resolve`` in a daemon thread.

    ``patient``: retry and wait as usual, because there is no older version to fall back to.
    """

    def __init__(self, uri: str, *, patient: bool) -> None:
        self._uri = uri
        self._retries = None if patient else RETRIES
        self._deadline = None if patient else time.monotonic() + PATIENCE_SECONDS
        self._answer: Future[Source] = Future()
        threading.Thread(target=self._ask, name="resolve", daemon=True).start()

    def answer(self) -> Source:
        """Wait for the source at its present revision.

        Raises:
            UnreachableError: the source does not answer, or not in time.
            WarmstartError: any other error of ``sources.resolve``.
        """
        left = None if self._deadline is None else max(self._deadline - time.monotonic(), 0)
        try:
            return self._answer.result(left)
        except concurrent.futures.TimeoutError as error:
            raise UnreachableError(
                f"{shown(self._uri)}: no answer within {PATIENCE_SECONDS:.0f} seconds"
            ) from error

    def _ask(self) -> None:
        try:
            self._answer.set_result(sources.resolve(self._uri, self._retries))
        except BaseException as error:  # noqa: BLE001 - ``answer`` raises it again
            self._answer.set_exception(error)
