"""Tunes the process before its first imports, and returns memory after a load or an unload."""

from __future__ import annotations

import ctypes
import gc
import os
import sys

# Threads that hash and load during the imports need the GIL often, but each time only briefly.
SWITCH_SECONDS = 0.0005
# A tokenizer's thread pool would compete with the lanes. OpenBLAS's pool, which nothing here uses,
# spins when numpy is imported and takes a CPU from the load for a tenth of a second.
ENVIRONMENT = {"TOKENIZERS_PARALLELISM": "false", "OPENBLAS_NUM_THREADS": "1"}
# glibc, malloc.h: the option's number. Larger blocks come from the system and go back when freed;
# by itself glibc raises this with the blocks that it sees, up to 32 MiB, and keeps such free ones.
M_MMAP_THRESHOLD = -3
LARGE_BLOCK = 1024 * 1024


def tune() -> None:
    """Disable thread pools that nothing uses, and give large blocks of memory back at once.

    Call it before numpy is imported.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    _call_libc("mallopt", M_MMAP_THRESHOLD, LARGE_BLOCK)


def settle() -> None:
    """After loading, freeze surviving objects and trim the heap.

    The garbage collector no longer scans frozen objects, which it would do again and again under
    load. Trimming returns the load's scratch memory to the system where the C library can.
    """
    gc.freeze()
    trim()


def trim() -> None:
    """Return the heap's free pages to the system where the C library can; takes milliseconds."""
    _call_libc("malloc_trim", 0)


def _call_libc(name: str, *arguments: int) -> None:
    """Call a function of the C library, if it has it: musl has neither of glibc's above."""
    if function := getattr(ctypes.CDLL(None), name, None):
        function(*arguments)


def clean_up() -> None:
    """After large requests, collect their garbage, which refused ones leave, and trim the heap."""
    gc.collect()
    trim()


def release_memory() -> None:
    """After an unload, collect frozen objects that are garbage now and trim the heap."""
    gc.unfreeze()
    gc.collect()
    settle()
