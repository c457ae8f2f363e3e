"""A server's REST port, asked over one connection."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

LOOPBACK = "127.0.0.1"
ANSWER_SECONDS = 60
# A refused connection costs a fraction of this.
POLL_SECONDS = 0.002


class ServerFailedError(RuntimeError):
    """A server ended, was not ready in time, or did not answer with success."""


class Http:
    """A client that connects when it is first needed; ``inside`` is entered to connect."""

    def __init__(
        self,
        port: int,
        host: str = LOOPBACK,
        inside: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS)
        self._inside = inside

    def __call__(self, method: str, path: str, body: Any = None) -> bytes:
        """Send a request, with ``body`` as JSON, and return the body of its answer.

        Raises:
            ServerFailedError: there is no answer, or it is not a success.
        """
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        return self.send(method, path, content, headers)

    def send(self, method: str, path: str, content: bytes | None, headers: Any) -> bytes:
        """Send a request as a call does, with a body that is encoded already."""
        try:
            status, answer = self._ask(method, path, content, headers)
        except (OSError, http.client.HTTPException) as error:
            raise ServerFailedError(f"no answer to {method} {path}: {error!r}") from error
        if status != http.client.OK:
            raise ServerFailedError(f"{method} {path} is answered {status}: {answer[:500]!r}")
        return answer

    def wait_for(
        self, path: str, seconds: float, go_on: Callable[[], bool], check_seconds: float = 0
    ) -> bool:
        """Ask for a path every 2 ms until the answer is 200.

        Args:
            path: what to ask for.
            seconds: how long to wait at most.
            go_on: says whether waiting is still of use.
            check_seconds: how long to wait between two calls of ``go_on``.

        Returns:
            Whether there was such an answer.
        """
        checked = time.monotonic()
        deadline = checked + seconds
        while (now := time.monotonic()) < deadline:
            try:
                if self._ask("GET", path)[0] == http.client.OK:
                    return True
            except (OSError, http.client.HTTPException):
                self._connection.close()
            if now >= checked + check_seconds:
                if not go_on():
                    return False
                checked = now
            time.sleep(POLL_SECONDS)
        return False

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        self._connection.close()

    def _ask(
        self, method: str, path: str, content: bytes | None = None, headers: Any = None
    ) -> tuple[int, bytes]:
        if self._connection.sock is None:
            with self._inside():
                self._connection.connect()
        self._connection.request(method, path, content, headers or {})
        response = self._connection.getresponse()
        return response.status, response.read()
