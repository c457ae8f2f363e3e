"""The threads of a process before its imports, and its memory after loads and unloads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TASKS = Path("/proc/self/task")


def run(code: str, **environment: str) -> str:
    kept = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_NUM_THREADS",)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=kept | environment,
    )
    return done.stdout.strip()


@pytest.mark.skipif(not TASKS.is_dir(), reason="threads are listed on Linux only")
def test_numpy_starts_no_threads() -> None:
    code = "from predictor import process; process.tune(); import os, numpy; "
    assert run(code + "print(len(os.listdir('/proc/self/task')))") == "1"


def test_a_variable_that_is_set_stays() -> None:
    code = "from predictor import process; process.tune(); import os; "
    shown = run(code + "print(os.environ['OPENBLAS_NUM_THREADS'])", OPENBLAS_NUM_THREADS="3")
    assert shown == "3"


def test_the_program_does_not_import_numpy_first() -> None:
    assert run("import predictor.__main__, sys; print('numpy' in sys.modules)") == "False"


def test_the_garbage_collector_skips_objects_that_survive_a_load() -> None:
    code = (
        "from predictor import process; import gc; process.settle(); print(len(gc.get_objects()))"
    )
    assert int(run(code)) < 100


def test_an_unload_frees_objects_that_were_frozen() -> None:
    code = (
        "from predictor import process; import weakref\n"
        "class Model: pass\n"
        "model = Model(); model.me = model; seen = weakref.ref(model); process.settle()\n"
        "del model; process.release_memory(); print(seen())"
    )
    assert run(code) == "None"
