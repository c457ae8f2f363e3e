"""Another process that holds a file open or mapped."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLD = """
import mmap, os, sys
handle = os.open(sys.argv[1], os.O_RDONLY)
if sys.argv[2] == "mapped":
    mapping = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
    os.close(handle)
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(path: Path, how: str = "mapped") -> Iterator[int]:
    """Let another process hold a file "open" or "mapped"; yield its process id."""
    command, pipe = [sys.executable, "-c", HOLD, str(path), how], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.communicate()
