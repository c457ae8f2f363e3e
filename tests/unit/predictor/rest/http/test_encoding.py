"""Bodies with a Content-Encoding: decoded within the limits, or refused."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from predictor.rest.app import RestApp
from predictor.serving.repository import Repository
from predictor.serving.server_state import ServerState
from predictor.settings import Settings
from tests.support.clients.asgi import others, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from predictor.serving.model import Model

BODY = b'{"instances": ["good"]}'
LIMIT = 1 << 20


@pytest.fixture
def state(served: Model) -> ServerState:
    return ServerState(Repository([served], Settings("m", max_body_bytes=LIMIT)))


def post(state: ServerState, body: bytes, encoding: str) -> Any:
    headers = {"content-encoding": encoding}
    response = request(
        RestApp(state, others), "POST", "/v1/models/m:predict", content=body, headers=headers
    )
    assert state.bodies.held == 0
    return response


def bare(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", bare),
        ("identity", bytes),
        ("", bytes),
    ],
)
def test_a_body_is_decoded(
    state: ServerState, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    # The decoded body is longer than one piece.
    response = post(state, pack(BODY + b" " * (LIMIT - len(BODY))), encoding)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, deflate"])
def test_another_encoding_is_415(state: ServerState, encoding: str) -> None:
    response = post(state, BODY, encoding)
    assert response.status_code == 415
    assert "send gzip or deflate" in response.json()["error"]


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"", "gzip"),
        (BODY, "gzip"),
        (BODY, "deflate"),
        (gzip.compress(BODY)[:-9], "gzip"),
        (gzip.compress(BODY) + b"x", "gzip"),
    ],
    # Bodies hold the time, and every worker must collect the same names.
    ids=["nothing", "plain as gzip", "plain as deflate", "cut off", "with more behind it"],
)
def test_what_is_not_of_its_encoding_is_400(state: ServerState, body: bytes, encoding: str) -> None:
    response = post(state, body, encoding)
    assert response.status_code == 400
    assert f"the body is not {encoding}" in response.json()["error"]


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_bomb_is_413(state: ServerState, pack: Callable[[bytes], bytes]) -> None:
    encoding = "gzip" if pack is gzip.compress else "deflate"
    response = post(state, pack(bytes(200 * LIMIT)), encoding)
    assert response.status_code == 413
    assert "max_body_bytes" in response.json()["error"]
