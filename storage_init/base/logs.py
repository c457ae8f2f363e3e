"""Structured logs for all three programs: one line per event, a message and its fields.

Fields go in ``extra={"fields": {...}}``, which ``event`` fills.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

LogFormat = Literal["text", "json"]
# Marks at the start of the lines that the pipeline prints and the storage initializer reads.
RUNNING, DONE, FAILED = "▸", "✓", "✗"
# The last line of a failed run starts with this.
ERROR = "error: "


class _Formatter(logging.Formatter):
    """``time LEVEL logger message key=value …`` or one JSON object."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, style: LogFormat) -> None:
        super().__init__()
        self.as_json = style == "json"
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if self.as_json:
            return msgspec.json.encode(line, enc_hook=str).decode()
        # An event must stay on one line: a pod's termination message is the last line of its log.
        line["message"] = " ".join(line["message"].split())
        head = [line.pop(key) for key in ("time", "level", "logger", "message")]
        trace = line.pop("exception", None)
        text = " ".join(head + [f"{key}={_plain(value)}" for key, value in line.items()])
        return text if trace is None else f"{text}\n{trace}"


def configure(style: LogFormat = "text", level: str = "INFO") -> None:
    """Send every log line of this process to stderr in one format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(style))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # They log the address of each request, which may hold a signature.
    for client in ("httpx", "httpx2"):
        logging.getLogger(client).setLevel(logging.WARNING)


def event(logger: logging.Logger, message: str, **fields: Any) -> None:
    """Log one event with its fields at level INFO."""
    logger.info(message, extra={"fields": fields})


@contextmanager
def timed(logger: logging.Logger, message: str, **fields: Any) -> Iterator[dict[str, Any]]:
    """Log an event with the ``seconds`` that its block took; the block may add fields."""
    start = time.perf_counter()
    yield fields
    event(logger, message, seconds=round(time.perf_counter() - start, 4), **fields)


def _plain(value: object) -> str:
    text = str(value)
    return msgspec.json.encode(text).decode() if re.search(r'[\s"]', text) else text
