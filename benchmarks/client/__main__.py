"""``python -m benchmarks.client``: a plan on stdin, an outcome on stdout."""

from __future__ import annotations

import asyncio

import uvloop

from benchmarks.client.closed_loop import Recorder
from benchmarks.client.open_loop import flood
from benchmarks.client.plan import FloodOutcome, FloodPlan, Outcome, Plan
from benchmarks.harness.plans import serve_child


def run(plan: Plan | FloodPlan) -> Outcome | FloodOutcome:
    """Run one plan."""
    if isinstance(plan, FloodPlan):
        return uvloop.run(flood(plan))
    if plan.transport == "grpc":
        # Not on uvloop: grpc.aio polls on its own.
        return asyncio.run(Recorder(plan).measure())
    return uvloop.run(Recorder(plan).measure())


if __name__ == "__main__":
    serve_child(Plan | FloodPlan, run)
