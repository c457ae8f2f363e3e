"""Send requests to an ASGI application without a network."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from predictor.rest.app import RestApp
    from predictor.rest.http.request import Receive, Scope, Send


async def others(scope: Scope, receive: Receive, send: Send) -> None:
    """An application in the place of KServe's; it repeats its request with status 418."""
    message = await receive()
    body = f"{scope['method']} {scope['path']} ".encode() + message["body"]
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": body})


def request(app: RestApp, method: str, path: str, **content: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **content)

    return asyncio.run(ask())
