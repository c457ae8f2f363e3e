"""A predictor's REST port, asked over one connection."""

from __future__ import annotations

import http.client
import json
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from benchmarks.pods.target import StartFailedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

LOOPBACK = "127.0.0.1"
ANSWER_SECONDS = 60
POLL_SECONDS = 0.002


class Http:
    """An ``Exchange``; ``inside`` is entered to connect, for a network of its own."""

    def __init__(
        self,
        port: int,
        host: str = LOOPBACK,
        inside: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS)
        self._inside = inside

    def __call__(self, method: str, path: str, body: Any = None) -> bytes:
        """As ``Exchange`` says."""
        try:
            status, content = self._ask(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            raise StartFailedError(f"no answer to {method} {path}: {error!r}") from error
        if status != http.client.OK:
            raise StartFailedError(f"{method} {path} is answered {status}: {content[:500]!r}")
        return content

    def wait_until_ready(self, model: str, deadline: float, check: Callable[[], None]) -> None:
        """Ask for readiness every 2 ms.

        Args:
            model: its name.
            deadline: by ``time.monotonic()``.
            check: called between, now and then; raises if it is no use to wait.

        Raises:
            StartFailedError: it was not ready in time.
        """
        path, checked = f"/v2/models/{model}/ready", time.monotonic()
        while (now := time.monotonic()) < deadline:
            try:
                if self._ask("GET", path)[0] == http.client.OK:
                    return
            except (OSError, http.client.HTTPException):
                self._connection.close()
            if now > checked + 1:
                check()
                checked = now
            time.sleep(POLL_SECONDS)
        raise StartFailedError(f"{model} was not ready in time")

    def close(self) -> None:
        """Let go of the connection; the next request opens another."""
        self._connection.close()

    def _ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        if self._connection.sock is None:
            with self._inside():
                self._connection.connect()
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        self._connection.request(method, path, content, headers)
        response = self._connection.getresponse()
        return response.status, response.read()
