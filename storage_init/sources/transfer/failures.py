"""Failures of transports: whether a retry may help, and one sentence that says what happened.

Transports raise exceptions of many libraries. This module looks for an HTTP status in the chain of
causes, then at the names of the classes, because importing the libraries would take longer than a
small download.
"""

from __future__ import annotations

import errno
import logging
import random
import re
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
# After so many new bytes the connection works again, so the count of retries starts over.
PROGRESS_BYTES = 1 << 20

TRANSIENT_STATUS = frozenset([408, 425, 429, 500, 502, 503, 504])
# Base classes count, too: builtins', requests', urllib3's, httpx's, botocore's, google-auth's.
TRANSIENT_NAMES = frozenset(
    [
        *("ConnectionError", "TimeoutError", "Timeout", "ChunkedEncodingError", "ProtocolError"),
        *("IncompleteRead", "TransportError", "HTTPClientError", "ResponseStreamingError"),
        *("IncompleteReadError", "NewConnectionError", "gaierror"),
    ]
)
TRANSIENT_ERRNO = frozenset([errno.EHOSTUNREACH, errno.ENETUNREACH])
DISK = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO])
REASONS = {
    401: "it asks for credentials (401): provide those that it needs",
    403: "access is refused (403): check the credentials and what they may read",
    404: "there is nothing there (404): check the address, and credentials if it is private",
}

# Users and queries of the URLs that libraries put into their messages.
SECRETS = re.compile(r"(?<=//)[^/\s@]+@|[^\s/@'\"]+:[^\s/@'\"]*@|\?[^\s'\")]*=[^\s'\")]*")

log = logging.getLogger(__name__)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of an exception or one of its causes, or None."""
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
    """Return whether the same request may succeed a little later."""
    chain = list(_chain(error))
    if any(isinstance(e, (WarmstartError, ssl.SSLCertVerificationError)) for e in chain):
        return False
    if status := status_of(error):
        return status in TRANSIENT_STATUS
    if any(isinstance(e, OSError) and e.errno in TRANSIENT_ERRNO for e in chain):
        return True
    return any(kind.__name__ in TRANSIENT_NAMES for e in chain for kind in type(e).__mro__)


def retrying(
    action: Callable[[], _T],
    where: str,
    progress: Callable[[], int] = lambda: 0,
    retries: int | None = None,
) -> _T:
    """Call ``action``, and again after each transient failure; the waits double and have jitter.

    Args:
        action: what to call; its result is returned.
        where: the source, for the log.
        progress: returns the bytes that have arrived; if they grow, the count starts over.
        retries: a lower limit than ``WARMSTART_RETRIES``.
    """
    allowed = RETRIES.read() if retries is None else min(retries, RETRIES.read())
    failures, arrived = 0, progress()
    while True:
        try:
            return action()
        except Exception as error:
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
    """Turn a transport's exceptions into a SourceError of one sentence.

    Transient failures become an UnreachableError. Errors of the local disk stay as they are.
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
    """Describe the cause of an exception in one line."""
    status = status_of(error)
    if status in REASONS:
        return REASONS[status]
    if status:
        return f"the server answers {status}"
    *_, root = _chain(error)
    text = " ".join(f"{type(root).__name__}: {root}".split())
    return SECRETS.sub("", text)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, its cause, the cause of that, and so on."""
    each: BaseException | None = error
    seen: set[int] = set()
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__


def _is_of_disk(error: BaseException) -> bool:
    return isinstance(error, OSError) and (error.errno in DISK or error.filename is not None)
