"""``python -m benchmarks.client``: a plan on stdin, an outcome on stdout."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import uvloop

from benchmarks.client.plan import FloodPlan, Plan
from benchmarks.client.recorder import Recorder
from benchmarks.harness.plans import serve_child

if TYPE_CHECKING:
    from benchmarks.client.plan import FloodOutcome, Outcome


def run(plan: Plan | FloodPlan) -> Outcome | FloodOutcome:
    """Run one plan."""
    if isinstance(plan, FloodPlan):
        from benchmarks.client.flood import flood

        return uvloop.run(flood(plan))
    if plan.transport == "grpc":
        from benchmarks.client import grpc

        # Not on uvloop: grpc.aio polls on its own.
        return asyncio.run(grpc.run(Recorder(plan)))
    from benchmarks.client import http

    return uvloop.run(http.run(Recorder(plan)))


if __name__ == "__main__":
    serve_child(Plan | FloodPlan, run)
