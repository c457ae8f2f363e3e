"""Triton's model configuration and statistics over REST, which its perf_analyzer asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from predictor.protocol.triton import model_config, model_statistics
from predictor.rest.http.response import json_reply

if TYPE_CHECKING:
    from predictor.rest.http.request import Client
    from predictor.rest.http.response import Reply
    from predictor.serving.server_state import ServerState


async def config(state: ServerState, _: Client, name: str, version: str | None = None) -> Reply:
    return json_reply(model_config(state.models.find(name, version).current.metadata()))


async def statistics(state: ServerState, _: Client, name: str, version: str | None = None) -> Reply:
    loaded = state.models.find(name, version).loaded
    return json_reply({"model_stats": [model_statistics(name, loaded.version)]})


async def all_statistics(state: ServerState, _: Client) -> Reply:
    loaded = {model.name: model.loaded for model in state.models.values() if model.is_loaded}
    every = [model_statistics(name, each.version) for name, each in loaded.items()]
    return json_reply({"model_stats": every})
