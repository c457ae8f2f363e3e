"""The model repository extension over REST: the index, load and unload.

Source: Triton's "Model Repository Extension", which KServe's server answers in part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from predictor.rest.http.request import decode_json
from predictor.rest.http.response import json_reply

if TYPE_CHECKING:
    from predictor.rest.http.request import Client
    from predictor.rest.http.response import Reply
    from predictor.serving.server_state import ServerState


class _Index(msgspec.Struct):
    ready: bool = False


async def index(state: ServerState, client: Client) -> Reply:
    asked = decode_json(await client.body() or b"{}", _Index, "an index request")
    return json_reply(state.models.index(ready_only=asked.ready))


async def load(state: ServerState, client: Client, name: str) -> Reply:
    await client.body()  # Triton's clients send parameters; none of them apply here.
    model = await state.models.load(name)
    return json_reply({"name": name, "load": True, "version": model.loaded.version})


async def unload(state: ServerState, client: Client, name: str) -> Reply:
    await client.body()
    await state.models.unload(name)
    return json_reply({"name": name, "unload": True})
