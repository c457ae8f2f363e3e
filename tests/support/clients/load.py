"""Clients that send requests until a server refuses them, and the outcome of each request."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import numpy as np

from predictor.grpc.protobuf import pb2_grpc
from tests.support.clients.v2 import grpc_request, outputs_of, text_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchmarks.harness.process import Predictor

SECONDS = 60


@dataclass
class Outcomes:
    """The outcomes of a load.

    Attributes:
        answers: how many answers each version gave.
        refused: requests that were refused, and connections that were.
        lost: requests over an open connection that had no answer, or a wrong one.
        stopped: set to have the clients stop.
    """

    answers: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    lost: list[str] = field(default_factory=list)
    stopped: bool = False

    @property
    def total(self) -> int:
        return self.answers.total()


@dataclass(frozen=True)
class Load:
    """Clients of a running predictor.

    ``wanted``: the probabilities of ``texts`` by each version that may answer.
    """

    running: Predictor
    texts: list[str]
    wanted: dict[str, NDArray[Any]]

    async def run(self, connections: int, until: Callable[[Outcomes], Any]) -> Outcomes:
        """Load the server, half over REST and half over gRPC, with one request a connection.

        Args:
            connections: how many clients there are.
            until: a coroutine function that is given the outcomes and awaited; clients then stop
                when the server refuses them or ``Outcomes.stopped`` is set.
        """
        outcomes = Outcomes()
        ways = (self._over_rest, self._over_grpc)
        clients = [asyncio.create_task(ways[n % 2](outcomes)) for n in range(connections)]
        await until(outcomes)
        await asyncio.wait_for(asyncio.gather(*clients), SECONDS)
        return outcomes

    async def _over_rest(self, outcomes: Outcomes) -> None:
        path, body = f"/v2/models/{self.running.name}/infer", text_request(self.texts)
        async with httpx.AsyncClient(base_url=self.running.url, timeout=SECONDS) as client:
            while not outcomes.stopped:
                try:
                    response = await client.post(path, json=body)
                except httpx.ConnectError:
                    outcomes.refused += 1
                    return
                except httpx.TransportError as error:
                    outcomes.lost.append(f"REST: {error!r}")
                    return
                if response.status_code != httpx.codes.OK:
                    outcomes.lost.append(f"REST: {response.status_code} {response.text}")
                    return
                answer = response.json()
                self._note(outcomes, answer["model_version"], outputs_of(answer)["probabilities"])

    async def _over_grpc(self, outcomes: Outcomes) -> None:
        request = grpc_request(self.running.name, self.texts)
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        async with grpc.aio.insecure_channel(self.running.grpc_target, options) as channel:
            stub = pb2_grpc.GRPCInferenceServiceStub(channel)
            while not outcomes.stopped:
                try:
                    answer = await stub.ModelInfer(request, timeout=SECONDS)
                except grpc.aio.AioRpcError as error:
                    if _turned_away(error):
                        outcomes.refused += 1
                    else:
                        outcomes.lost.append(f"gRPC: {error.code().name} {error.details()}")
                    return
                output = answer.outputs[2]
                rows = np.reshape(output.contents.fp32_contents, output.shape)
                self._note(outcomes, answer.model_version, rows)

    def _note(self, outcomes: Outcomes, version: str, rows: NDArray[Any]) -> None:
        wanted = self.wanted.get(version)
        if wanted is None or not np.allclose(rows, wanted, atol=1e-4):
            outcomes.lost.append(f"version {version} answered {rows.tolist()}")
        outcomes.answers[version] += 1


def _turned_away(error: grpc.aio.AioRpcError) -> bool:
    told = "the server is stopping", "failed to connect", "Connection refused"
    return error.code() == grpc.StatusCode.UNAVAILABLE and any(
        each in (error.details() or "") for each in told
    )
