"""gRPC with messages serialised beforehand and answers that are not decoded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from benchmarks.client.recorder import measure_on
from benchmarks.harness.http import LOOPBACK
from benchmarks.harness.requests import GRPC_METHOD

if TYPE_CHECKING:
    from benchmarks.client.plan import Outcome
    from benchmarks.client.recorder import Recorder

NAME = "grpc.aio, bytes in and out"
# Without it, channels to one address share a connection.
OPTIONS = [("grpc.use_local_subchannel_pool", 1)]


async def run(recorder: Recorder) -> Outcome:
    """Measure; each connection of the plan is a channel with one call at a time."""
    return await measure_on(_ask_on, recorder, NAME)


async def _ask_on(recorder: Recorder) -> None:
    target = f"{LOOPBACK}:{recorder.plan.port}"
    async with grpc.aio.insecure_channel(target, options=OPTIONS) as channel:
        # Without serialiser and deserialiser, bytes go through as they are.
        call = channel.unary_unary(GRPC_METHOD)
        while not recorder.stopped:
            started = time.perf_counter()
            try:
                await call(next(recorder.bodies), wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                recorder.failure(f"{error.code().name}: {error.details()}")
            else:
                recorder.success(time.perf_counter() - started)
