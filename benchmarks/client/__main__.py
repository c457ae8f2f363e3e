"""``python -m benchmarks.client``: a plan on stdin, an outcome on stdout."""

from __future__ import annotations

import sys

import msgspec
import uvloop

from benchmarks.client.plan import Plan
from benchmarks.client.recorder import Recorder


def main() -> None:
    """Run one plan."""
    plan = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Plan)
    if plan.transport == "grpc":
        # Not on uvloop: grpc.aio polls on its own.
        import asyncio

        from benchmarks.client import grpc

        outcome = asyncio.run(grpc.run(Recorder(plan)))
    else:
        from benchmarks.client import http

        outcome = uvloop.run(http.run(Recorder(plan)))
    sys.stdout.buffer.write(msgspec.msgpack.encode(outcome))


if __name__ == "__main__":
    main()
