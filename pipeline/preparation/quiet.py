"""What a user need not see: libraries' output, and tracebacks of errors that no code foresaw."""

from __future__ import annotations

import io
import os
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def debugging() -> bool:
    """Whether a developer asked for tracebacks and for what libraries write."""
    return os.environ.get("WARMSTART_LOG_LEVEL", "").upper() == "DEBUG"


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Drop warnings and what is written to stdout and stderr, unless :func:`debugging`."""
    if debugging():
        yield
        return
    with (
        warnings.catch_warnings(),
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


def describe_unexpected(error: Exception) -> str:
    """Describe an error that no code foresaw in one line, with a hint to its traceback."""
    hint = "" if debugging() else " (WARMSTART_LOG_LEVEL=DEBUG shows the traceback)"
    return f"failed unexpectedly: {type(error).__name__}: {' '.join(str(error).split())}{hint}"
