"""The response to a REST request, and how responses are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from predictor.errors import RequestError

    Headers = list[tuple[bytes, bytes]]

JSON: Headers = [(b"content-type", b"application/json")]


@dataclass(frozen=True, slots=True)
class Reply:
    """The response to a request."""

    body: bytes
    status: int = 200
    headers: Headers = field(default_factory=lambda: JSON)


def json_reply(content: Any, status: int = 200) -> Reply:
    """A response in JSON; arrays become lists."""
    return Reply(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), status)


def refusal(error: RequestError, body: Mapping[str, Any] | None = None) -> Reply:
    """The response to a refused request; ``body`` replaces the protocol's form of errors."""
    headers = JSON
    if error.retry_after is not None:
        headers = [*JSON, (b"retry-after", b"%d" % error.retry_after)]
    return Reply(orjson.dumps(body or {"error": str(error)}), error.status, headers)
