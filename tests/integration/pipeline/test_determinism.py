"""Preparing a model twice gives one version, whatever differs between the two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storage_init.base.files import list_files
from storage_init.format.package import UNCOVERED
from storage_init.format.verify import verify

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.integration

# What may differ from one preparing pod to the next.
SURROUNDINGS: tuple[Mapping[str, str], ...] = (
    {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1", "TZ": "UTC", "LC_ALL": "C"},
    {"PYTHONHASHSEED": "2", "OMP_NUM_THREADS": "3", "TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8"},
)


def prepare(source: Path, store: Path, surroundings: Mapping[str, str]) -> Path:
    """Prepare a model in a process of its own; returns the version's folder."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pipeline", "run"),
            *(f"--source={source.as_uri()}", "--name=m", f"--store={store}"),
        ],
        env=os.environ | surroundings,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "model",
    [
        "classifier",
        *(pytest.param(slow, marks=pytest.mark.slow) for slow in ("embedder", "reader", "tagger")),
    ],
)
def test_two_processes_side_by_side_publish_one_version(
    model: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source = request.getfixturevalue(model)
    stores = [tmp_path / "one", tmp_path / "another" / "place"]
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(prepare, [source] * 2, stores, SURROUNDINGS)
    covered = list_files(one).difference(UNCOVERED)
    differing = {
        path for path in covered if (one / path).read_bytes() != (other / path).read_bytes()
    }
    assert differing == set()
    assert one.name == other.name
    assert verify(one) == verify(other)
