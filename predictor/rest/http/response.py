"""What a REST client is sent, and the little that making it takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from predictor.errors import RequestError
    from predictor.rest.http.request import Client

    Headers = list[tuple[bytes, bytes]]
    # What answers a request; those of one path by method.
    Route = Callable[[Client], Awaitable["Reply"]]
    Routes = Mapping[str, Route]

JSON: Headers = [(b"content-type", b"application/json")]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a client is sent."""

    body: bytes
    status: int = 200
    headers: Headers = field(default_factory=lambda: JSON)


def json_reply(content: Any, status: int = 200) -> Reply:
    """A JSON body, arrays included."""
    return Reply(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), status)


def refusal(error: RequestError, body: Mapping[str, Any] | None = None) -> Reply:
    """The protocol's error body or another one; where it is worth asking again, when."""
    headers = JSON
    if error.retry_after is not None:
        headers = [*JSON, (b"retry-after", b"%d" % error.retry_after)]
    return Reply(orjson.dumps(body or {"error": str(error)}), error.status, headers)
