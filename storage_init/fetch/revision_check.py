"""Asking for a source's revision beside other work, with an answer at hand if none comes."""

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

# Somebody waits, and there is something to serve.
RETRIES = 1
PATIENCE_SECONDS = 10.0

log = logging.getLogger(__name__)


class Question:
    """``sources.resolve`` in a thread that ends with the process, if not before.

    ``patient``: whether to try as often, and to wait as long, as where there is no other way.
    """

    def __init__(self, uri: str, *, patient: bool) -> None:
        self._uri = uri
        self._patient = patient
        self._asked = time.monotonic()
        self._answer: Future[Source] = Future()
        threading.Thread(target=self._ask, name="resolve", daemon=True).start()

    def answer(self) -> Source:
        """The source at the revision it has now.

        Raises:
            UnreachableError: no answer, or none in time.
            WarmstartError: what ``sources.resolve`` raises.
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
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._answer.set_exception(error)
