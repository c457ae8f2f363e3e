"""A server's REST port, asked over one connection."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

LOOPBACK = "127.0.0.1"
JSON = {"Content-Type": "application/json"}
ANSWER_SECONDS = 60
# A refused connection costs a fraction of this.
POLL_SECONDS = 0.002
# How often to look whether waiting is still of use, which may cost a process.
CHECK_SECONDS = 1


class ServerFailedError(RuntimeError):
    """A server ended, was not ready in time, or did not answer with success."""


class Http:
    """A client that connects when it is first needed."""

    def __init__(self, port: int, host: str = LOOPBACK) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS)

    def __call__(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = JSON
    ) -> bytes:
        """Send a request and return the body of its answer; ``body`` is bytes, or sent as JSON.

        Raises:
            ServerFailedError: there is no answer, or it is not a success.
        """
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            status, answer = self._ask(method, path, content, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()  # else the next request finds this one unfinished
            raise ServerFailedError(f"no answer to {method} {path}: {error!r}") from error
        if status != http.client.OK:
            raise ServerFailedError(f"{method} {path} is answered {status}: {answer[:500]!r}")
        return answer

    def wait_for(self, path: str, seconds: float, go_on: Callable[[], bool]) -> bool:
        """Ask for a path every 2 ms until the answer is 200, and say whether it was.

        ``go_on`` says, once a second, whether waiting is still of use.
        """
        checked = time.monotonic()
        deadline = checked + seconds
        while (now := time.monotonic()) < deadline:
            try:
                if self._ask("GET", path)[0] == http.client.OK:
                    return True
            except (OSError, http.client.HTTPException):
                self.close()
            if now >= checked + CHECK_SECONDS:
                if not go_on():
                    return False
                checked = now
            time.sleep(POLL_SECONDS)
        return False

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        self._connection.close()

    def _ask(
        self, method: str, path: str, content: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> tuple[int, bytes]:
        self._connection.request(method, path, content, headers)
        response = self._connection.getresponse()
        return response.status, response.read()
