"""What a process must be told before numpy and ONNX Runtime are imported, and after a load."""

from __future__ import annotations

import ctypes
import os
import sys

# Threads that hash, load and run beside the imports need the GIL for moments only, but many times.
SWITCH_SECONDS = 0.0005
# The lanes are the threads. A tokenizer's pool would compete with them; OpenBLAS's, which nothing
# here calls, spins from numpy's import on and takes a CPU from the load for a tenth of a second.
ENVIRONMENT = {"TOKENIZERS_PARALLELISM": "false", "OPENBLAS_NUM_THREADS": "1"}


def tune() -> None:
    """Keep threads that serve nobody from starting; to be called before numpy is imported."""
    sys.setswitchinterval(SWITCH_SECONDS)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def release_memory() -> None:
    """Give back to the system what a load needed for moments only, where the C library can.

    Weights are packed through scratch memory, which glibc would keep.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
