"""Whether an answer depends on who is asked for at the same time: alone, then all at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from benchmarks.harness.requests import rest_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.harness.launch import Running

CONNECTIONS = 16


class Independence(msgspec.Struct, frozen=True):
    """Of ``texts`` answers: the largest move of a value, and how many labels became others."""

    texts: int
    largest_move: float
    flipped: int


def measure(running: Running, texts: Sequence[str]) -> Independence:
    """Ask for every text by itself, then for all with ``CONNECTIONS`` at a time."""
    alone = [_ask(running, text) for text in texts]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        together = list(pool.map(lambda text: _ask(running, text), texts))
    moves = [
        float(np.abs(_values(one) - _values(other)).max())
        for one, other in zip(alone, together, strict=True)
    ]
    flips = [
        one.get("label") != other.get("label") for one, other in zip(alone, together, strict=True)
    ]
    return Independence(len(texts), max(moves), sum(flips))


def _ask(running: Running, text: str) -> dict[str, Any]:
    outputs = json.loads(running.ask(rest_json([text])))["outputs"]
    return {output["name"]: output["data"] for output in outputs}


def _values(answer: dict[str, Any]) -> np.ndarray[Any, Any]:
    """A classifier's probabilities, an embedder's vector."""
    return np.array(answer.get("probabilities") or answer["embedding"])
