"""When a transport fails: whether trying again may help, and a sentence that says what happened.

Transports raise exceptions of half a dozen libraries. They are told apart by the HTTP status that
one of them carries, wherever in the chain of causes, else by the names of their classes: importing
those libraries for it would cost more than a small download.
"""

from __future__ import annotations

import errno
import logging
import random
import ssl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from storage_init.base.errors import SourceError, UnreachableError, WarmstartError
from storage_init.base.logs import event
from storage_init.base.variables import RETRIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_T = TypeVar("_T")

FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 30.0
# So much new content means that the connection works again: the count of retries starts over.
PROGRESS_BYTES = 1 << 20

TRANSIENT_STATUS = frozenset([408, 425, 429, 500, 502, 503, 504])
# Of builtins, requests, urllib3, httpx, botocore and google-auth, and what derives from them.
TRANSIENT_NAMES = frozenset(
    [
        *("ConnectionError", "TimeoutError", "Timeout", "ChunkedEncodingError", "ProtocolError"),
        *("IncompleteRead", "TransportError", "HTTPClientError", "ResponseStreamingError"),
        *("IncompleteReadError", "NewConnectionError"),
    ]
)
DISK = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO])
REASONS = {
    401: "it asks for credentials (401): provide those that it needs",
    403: "access is refused (403): check the credentials and what they may read",
    404: "there is nothing there (404): check the address, and credentials if it is private",
}

log = logging.getLogger(__name__)


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an exception or one of its causes carries, None if there is none."""
    for each in _chain(error):
        response = getattr(each, "response", None)
        if isinstance(response, dict):  # botocore
            found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        else:  # requests and httpx; google-api-core
            found = getattr(response, "status_code", None) or getattr(each, "code", None)
        if isinstance(found, int):
            return int(found)
    return None


def is_transient(error: BaseException) -> bool:
    """Whether the same request may well succeed a little later."""
    chain = list(_chain(error))
    if any(isinstance(e, (WarmstartError, ssl.SSLCertVerificationError)) for e in chain):
        return False
    if status := status_of(error):
        return status in TRANSIENT_STATUS
    return any(kind.__name__ in TRANSIENT_NAMES for e in chain for kind in type(e).__mro__)


def retrying(
    action: Callable[[], _T],
    where: str,
    progress: Callable[[], int] = lambda: 0,
    retries: int | None = None,
) -> _T:
    """Do something, again after a transient failure; waits double and have jitter.

    ``progress``: bytes that have arrived. Where they grow, the count starts over. ``retries``: at
    most so many, where ``WARMSTART_RETRIES`` allows more.
    """
    allowed = RETRIES.read() if retries is None else min(retries, RETRIES.read())
    failures, arrived = 0, progress()
    while True:
        try:
            return action()
        except Exception as error:  # noqa: PERF203 - a retry is a try in a loop
            now = progress()
            if now - arrived >= PROGRESS_BYTES:
                failures, arrived = 0, now
            failures += 1
            if failures > allowed or not is_transient(error):
                raise
            longest = min(FIRST_WAIT_SECONDS * 2 ** (failures - 1), LONGEST_WAIT_SECONDS)
            wait = random.uniform(longest / 2, longest)  # noqa: S311 - no secret
            reason = describe(error)
            event(
                log, "trying again", uri=where, failures=failures, wait=round(wait, 2), why=reason
            )
            time.sleep(wait)


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Turn whatever a transport raises into a SourceError of one sentence.

    Errors of the local disk stay what they are. What another attempt might have mended is an
    UnreachableError.
    """
    try:
        yield
    except WarmstartError:
        raise
    except Exception as error:
        if disk := next((each for each in _chain(error) if _is_of_disk(each)), None):
            raise disk from None
        kind = UnreachableError if is_transient(error) else SourceError
        raise kind(f"{where} cannot be fetched: {describe(error)}") from error


def describe(error: BaseException) -> str:
    """What went wrong at the bottom of an exception, in one line."""
    status = status_of(error)
    if status in REASONS:
        return REASONS[status]
    if status:
        return f"the server answers {status}"
    *_, root = _chain(error)
    return " ".join(f"{type(root).__name__}: {root}".split())


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception, what it was raised from, and so on."""
    each: BaseException | None = error
    seen: set[int] = set()
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__


def _is_of_disk(error: BaseException) -> bool:
    return isinstance(error, OSError) and (error.errno in DISK or error.filename is not None)
