"""Resolve a source's revision in a thread while other work goes on."""

from __future__ import annotations

import concurrent.futures
import logging
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

log = logging.getLogger(__name__)


class RevisionCheck:
    """A call of ``sources.resolve`` in a daemon thread.

    ``patient``: retry and wait as usual, because there is no older version to fall back to.
    """

    def __init__(self, uri: str, *, patient: bool) -> None:
        self._uri = uri
        self._patient = patient
        self._asked = time.monotonic()
        self._answer: Future[Source] = Future()
        threading.Thread(target=self._ask, name="resolve", daemon=True).start()

    def answer(self) -> Source:
        """Wait for the source at its present revision.

        Raises:
            UnreachableError: the source does not answer, or not in time.
            WarmstartError: any other error of ``sources.resolve``.
        """
        if self._patient:
            return self._answer.result()
        left = PATIENCE_SECONDS - (time.monotonic() - self._asked)
        try:
            return self._answer.result(max(left, 0))
        except concurrent.futures.TimeoutError as error:
            raise UnreachableError(
                f"{shown(self._uri)}: no answer within {PATIENCE_SECONDS:.0f} seconds"
            ) from error

    def _ask(self) -> None:
        try:
            retries = None if self._patient else RETRIES
            self._answer.set_result(sources.resolve(self._uri, retries))
        except BaseException as error:  # noqa: BLE001 - ``answer`` raises it again
            self._answer.set_exception(error)
