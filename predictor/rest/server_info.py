"""What the server answers over REST of itself: whether it lives and is ready, what it has, its
figures and pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, exposition

from predictor.protocol.metadata import server_metadata
from predictor.rest.http.response import Reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from predictor.rest.http.request import Client
    from predictor.rest.http.response import Route, Routes
    from predictor.rest.pages import Pages
    from predictor.serving.repository import Repository


def server_routes(models: Repository, pages: Pages) -> dict[str, Routes]:
    """Each path's routes by method."""

    async def names(_: Client) -> Reply:
        return json_reply({"models": list(models)})

    async def ready(_: Client) -> Reply:
        return json_reply({"ready": models.ready}, 200 if models.ready else 503)

    routes: dict[str, Route] = {
        "/": _live_v1,
        "/v1/models": names,
        "/v2": _metadata,
        "/v2/": _metadata,
        "/v2/models": names,
        "/v2/health/live": _live,
        "/v2/health/ready": ready,
        "/metrics": _metrics,
        **{path: _page(make) for path, make in pages.items()},
    }
    return {path: {"GET": route} for path, route in routes.items()}


async def _live_v1(_: Client) -> Reply:
    return json_reply({"status": "alive"})


async def _live(_: Client) -> Reply:
    return json_reply({"live": True})


async def _metadata(_: Client) -> Reply:
    return json_reply(server_metadata())


async def _metrics(client: Client) -> Reply:
    accepted = client.headers.get(b"accept", b"").decode("latin-1")
    encode, content_type = exposition.choose_encoder(accepted)
    return Reply(encode(REGISTRY), headers=[(b"content-type", content_type.encode())])


def _page(make: Callable[[], tuple[bytes, bytes]]) -> Route:
    async def page(_: Client) -> Reply:
        body, content_type = make()
        return Reply(body, headers=[(b"content-type", content_type)])

    return page
