"""The response to a REST request."""

from __future__ import annotations

import numpy as np
import orjson

from predictor.errors import InvalidRequestError, OverloadedError
from predictor.rest.http.response import json_reply, refusal


def test_a_refusal_has_the_protocols_form_and_says_when_to_retry() -> None:
    full = refusal(OverloadedError("the queue is full", retry_after=3))
    assert (full.status, full.body) == (429, b'{"error":"the queue is full"}')
    assert (b"retry-after", b"3") in full.headers
    wrong = refusal(InvalidRequestError("no"))
    assert (wrong.status, wrong.headers) == (400, json_reply({}).headers)


def test_a_message_that_quotes_a_client_has_a_limit() -> None:
    reply = refusal(InvalidRequestError("x" * 100_000))
    assert orjson.loads(reply.body) == {"error": "x" * 1000 + "…"}


def test_arrays_are_written_as_lists() -> None:
    assert json_reply({"a": np.arange(2)}).body == b'{"a":[0,1]}'
