"""uvicorn's protocol refuses requests by their head alone, over a real connection."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from predictor.errors import OverloadedError
from predictor.rest.http.protocol import RefusingProtocol
from predictor.rest.http.response import Reply, refusal
from predictor.serving.server_state import InFlight

if TYPE_CHECKING:
    from predictor.rest.http.request import Receive, Scope, Send

BODY = b"x" * 100_000


class App:
    """Refuses requests to "/full"; answers other requests with the length of their body."""

    def __init__(self, seconds: float = 0) -> None:
        self.asked: list[str] = []
        self.seconds = seconds
        self.in_flight = InFlight()

    @property
    def shedding(self) -> App:
        return self

    crowded = True

    def refuse(self, _: str, path: str, __: Any) -> Reply | None:
        return refusal(OverloadedError("full", 7)) if path == "/full" else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        length, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            length, more = length + len(message["body"]), message["more_body"]
        await asyncio.sleep(self.seconds)
        body = str(length).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def talk(app: App, *requests: bytes, pause: float = 0, limit: float = 60) -> bytes:
    """All responses on one connection to requests, or parts of them, with pauses in between."""

    async def run() -> bytes:
        protocol = partial(RefusingProtocol, in_flight=app.in_flight, receive_seconds=limit)
        config = uvicorn.Config(
            app,
            http=cast("type[asyncio.Protocol]", protocol),
            lifespan="off",
            port=0,
            log_config=None,
            proxy_headers=False,
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.001)
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while not app.in_flight.idle_connections:
            await asyncio.sleep(0.001)
        receiving = asyncio.create_task(reader.read())
        for part in requests:
            writer.write(part)
            await asyncio.sleep(pause)
            if receiving.done():
                break
        received: Any = await asyncio.wait_for(receiving, 10)
        writer.close()
        server.should_exit = True
        await serving
        return bytes(received)

    return asyncio.run(run())


def post(path: str, *headers: str, version: str = "1.1") -> bytes:
    head = [f"POST {path} HTTP/{version}", "Host: h", f"Content-Length: {len(BODY)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + BODY


def test_a_refused_request_skips_the_application_and_keeps_its_connection() -> None:
    app = App()
    asked = (post("/full"), post("/a"), post("/full"), post("/b", "Connection: close"))
    received = talk(app, *asked, pause=0.05)
    assert not app.in_flight.idle_connections, "it has sent a request"
    assert app.asked == ["/a", "/b"]
    assert received.count(b"HTTP/1.1 429 ") == 2
    assert received.count(b"retry-after: 7\r\n") == 2
    assert received.count(b'{"error":"full"}') == 2
    assert received.count(f"\r\n\r\n{len(BODY)}".encode()) == 2, (
        "the length of each request's own body"
    )


@pytest.mark.parametrize(
    "request_", [post("/full", "Connection: close"), post("/full", version="1.0")]
)
def test_a_refused_request_closes_its_connection_if_the_client_asks(request_: bytes) -> None:
    received = talk(App(), request_)
    assert received.startswith(b"HTTP/1.1 429 ")
    assert b"connection: close\r\n" in received
    assert received.endswith(b'{"error":"full"}')


def test_any_number_of_refused_requests_may_be_sent_at_once() -> None:
    small = b"POST /full HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
    received = talk(App(), small * 3000 + post("/b", "Connection: close"))
    assert received.count(b"HTTP/1.1 429 ") == 3000
    assert received.endswith(str(len(BODY)).encode())


HEAD = b"POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"


@pytest.mark.parametrize(
    "parts", [[b"POST / HT"], [HEAD], [HEAD[:9], HEAD[9:], *[b"x"] * 9], [b"\r\n"]]
)
def test_a_slow_sender_gets_408_and_its_connection_is_closed(parts: list[bytes]) -> None:
    received = talk(App(), *parts, pause=0.1, limit=0.3)
    assert received.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"connection: close\r\n" in received
    assert b"within 0.3 s (--max_receive_seconds)" in received


def test_the_body_of_a_refused_request_that_never_ends_closes_its_connection() -> None:
    refused = HEAD.replace(b"/slow", b"/full")
    assert talk(App(), refused, limit=0.2).count(b"HTTP/1.1 ") == 1


def test_a_request_that_waits_for_its_turn_or_for_its_answer_is_not_slow() -> None:
    last = HEAD.replace(b"Host", b"Connection: close\r\nHost") + b"123456789"
    received = talk(App(seconds=0.4), HEAD + b"1", b"23456789" + last[:-4], last[-4:], limit=0.3)
    assert received.count(b"HTTP/1.1 200 ") == 2
    assert b" 408 " not in received


def test_a_closed_connection_without_a_request_is_not_idle() -> None:
    in_flight = InFlight()
    loop = asyncio.new_event_loop()
    config = uvicorn.Config(App(), http="httptools", lifespan="off", log_config=None)
    config.load()
    protocol = RefusingProtocol(
        config, ServerState(), {}, loop, in_flight=in_flight, receive_seconds=9
    )
    protocol.connection_made(asyncio.Transport({"peername": ("::1", 1), "sockname": ("::1", 2)}))
    assert in_flight.idle_connections == {protocol}
    protocol.connection_lost(ConnectionResetError())
    assert not in_flight.idle_connections
    loop.close()
