"""The model repository extension over REST: what there is, load, unload.

Source: Triton's "Model Repository Extension", which KServe's server answers in part.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson

from predictor.errors import InvalidRequestError
from predictor.rest.http.response import Reply, json_reply

if TYPE_CHECKING:
    from predictor.rest.http.request import Client
    from predictor.rest.http.response import Routes
    from predictor.serving.repository import Repository

INDEX = "/v2/repository/index"
CHANGE = re.compile(r"/v2/repository/models/(?P<name>[^/]+)/(?P<what>load|unload)")


def repository_routes(repository: Repository, path: str) -> Routes | None:
    """What answers a path under ``/v2/repository/``, by method; None if it is none."""

    async def index(client: Client) -> Reply:
        return json_reply(repository.index(ready_only=_ready_only(await client.body())))

    async def change(client: Client) -> Reply:
        await client.body()  # Triton's clients send parameters, none of which are ours
        if what == "unload":
            await repository.unload(name)
            return json_reply({"name": name, "unload": True})
        model = await repository.load(name)
        return json_reply({"name": name, "load": True, "version": model.loaded.version})

    if path == INDEX:
        return {"POST": index}
    match = CHANGE.fullmatch(path)
    if match is None:
        return None
    name, what = match.groups()
    return {"POST": change}


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
