"""The memory that a process needs for a variant, measured in a process of its own.

``python -m pipeline.footprint GRAPH TOKENIZER MAX_LENGTH PAD_TOKEN_ID`` takes texts, or pairs, as a
JSON list and prints it as JSON.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.recipe import Example
    from storage_init.package import Limits

STATUS = Path("/proc/self/status")
TIMEOUT_SECONDS = 300


class Footprint(msgspec.Struct, frozen=True):
    """Bytes over an idle process: ``private`` memory, and ``shared``, mapped from files."""

    private: int
    shared: int


def measure(
    graph: Path, tokenizer: Path, limits: Limits, pad_token_id: int, texts: Sequence[Example]
) -> Footprint | None:
    """What a process has after ``texts`` in one batch; None where that cannot be measured.

    The caller's own memory does not count, nor what it has loaded already.
    """
    numbers = [str(limits.max_length), str(pad_token_id)]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.footprint", str(graph), str(tokenizer), *numbers],
        input=msgspec.json.encode(texts),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    try:
        return msgspec.json.decode(done.stdout, type=Footprint)
    except msgspec.MsgspecError:
        return None


def _resident() -> Footprint:
    status = STATUS.read_text()

    def read(name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+) kB", status)
        return int(found[1]) * 1024 if found else 0

    return Footprint(read("RssAnon"), read("RssFile") + read("RssShmem"))


def _main(arguments: Sequence[str]) -> None:
    from storage_init.runtime import Tokenizer, input_names, open_session, run_answer

    graph, tokenizer_path, max_length, pad_token_id = arguments
    texts = msgspec.json.decode(sys.stdin.buffer.read(), type=list[str | tuple[str, str]])
    tokenizer = Tokenizer(Path(tokenizer_path), int(max_length), int(pad_token_id))
    before = _resident()
    session = open_session(Path(graph))
    run_answer(session, tokenizer.feeds(tokenizer.encode_batch(texts), input_names(session)))
    after = _resident()
    grown = Footprint(max(after.private - before.private, 0), max(after.shared - before.shared, 0))
    sys.stdout.write(msgspec.json.encode(grown).decode())


if __name__ == "__main__":
    _main(sys.argv[1:])
