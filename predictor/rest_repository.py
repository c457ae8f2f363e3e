"""The model repository extension over REST: what there is, load, unload.

Source: Triton's "Model Repository Extension", which KServe's server answers in part.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson

from predictor.errors import InvalidRequestError
from predictor.reply import Reply, json_reply
from predictor.rest_client import read_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from predictor.repository import Repository
    from predictor.rest_client import Receive, Scope

INDEX = "/v2/repository/index"
CHANGE = re.compile(r"/v2/repository/models/(?P<name>[^/]+)/(?P<what>load|unload)")


def repository_route(
    repository: Repository, path: str
) -> Callable[[Scope, Receive], Awaitable[Reply]] | None:
    """What answers a POST to a path under ``/v2/repository/``."""

    async def index(_: Scope, receive: Receive) -> Reply:
        return json_reply(repository.index(ready_only=_ready_only(await read_body(receive))))

    async def change(_: Scope, receive: Receive) -> Reply:
        await read_body(receive)  # Triton's clients send parameters, none of which are ours
        if what == "unload":
            await repository.unload(name)
            return json_reply({"name": name, "unload": True})
        model = await repository.load(name)
        return json_reply({"name": name, "load": True, "version": model.loaded.version})

    if path == INDEX:
        return index
    match = CHANGE.fullmatch(path)
    if match is None:
        return None
    name, what = match.groups()
    return change


def _ready_only(body: bytes) -> bool:
    if not body:
        return False
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"the body is not JSON: {error}") from error
    ready = asked.get("ready", False) if isinstance(asked, dict) else None
    if not isinstance(ready, bool):
        raise InvalidRequestError('the body must be an object; "ready" in it is true or false')
    return ready
