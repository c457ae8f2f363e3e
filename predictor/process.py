"""What a process must be told before numpy and ONNX Runtime are imported, and after a load."""

from __future__ import annotations

import ctypes
import gc
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


def settle() -> None:
    """Behind a load: what there is now lives as long as the process.

    Python does not look through it for garbage again, which it would do time after time under
    load. What the load needed for moments only, as scratch memory for weights, goes back to the
    system where the C library can.
    """
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def release_memory() -> None:
    """Behind an unload: what was kept and is garbage now goes back to the system."""
    gc.unfreeze()
    gc.collect()
    settle()
