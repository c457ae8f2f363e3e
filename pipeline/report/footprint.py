"""Measures the memory that serving a variant takes, in a process of its own.

``python -m pipeline.report.footprint GRAPH`` reads one batch of inputs as JSON and prints JSON.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from storage_init.format.measurements import Memory

if TYPE_CHECKING:
    from storage_init.running.tokenizer import Feeds

STATUS = Path("/proc/self/status")
TIMEOUT_SECONDS = 300


def measure(graph: Path, feeds: Feeds) -> Memory | None:
    """Memory of a process that ran ``feeds`` once; None where it cannot be measured."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.report.footprint", str(graph)],
        input=msgspec.json.encode({name: array.tolist() for name, array in feeds.items()}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    try:
        return msgspec.json.decode(done.stdout, type=Memory)
    except msgspec.MsgspecError:
        return None


def _resident() -> Memory:
    status = STATUS.read_text()

    def read(name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+) kB", status)
        return int(found[1]) * 1024 if found else 0

    return Memory(read("RssAnon"), read("RssFile") + read("RssShmem"))


def _main(graph: str) -> None:
    import numpy as np

    from storage_init.running.session import open_session, run_answer

    content = msgspec.json.decode(sys.stdin.buffer.read())
    feeds = {name: np.array(rows, dtype=np.int64) for name, rows in content.items()}
    before = _resident()
    session = open_session(Path(graph))
    run_answer(session, feeds)
    after = _resident()
    grown = Memory(max(after.private - before.private, 0), max(after.shared - before.shared, 0))
    sys.stdout.write(msgspec.json.encode(grown).decode())


if __name__ == "__main__":
    _main(sys.argv[1])
