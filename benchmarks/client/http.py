"""HTTP/1.1 as cheap as Python allows: requests encoded beforehand, answers read but not decoded."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass

from benchmarks.harness.http import LOOPBACK

OK = 200
SHOWN_BYTES = 500
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r", re.IGNORECASE)


@dataclass(frozen=True)
class Connection:
    """An open connection, with at most one request in flight."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int) -> Connection:
        """Connect to a port of this machine."""
        return cls(*await asyncio.open_connection(LOOPBACK, port))

    async def ask(self, request: bytes) -> tuple[int, bytes, float]:
        """Send a request and return the status, the body and the seconds of its answer.

        Raises:
            OSError, EOFError: the connection is broken.
        """
        start = time.perf_counter()
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        if length is None:
            raise ConnectionError(f"the answer does not state its length: {head!r}")
        body = await self.reader.readexactly(int(length[1]))
        return int(head[9:12]), body, time.perf_counter() - start
