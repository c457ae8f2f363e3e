"""A fetch through the store that dies or fails at any step: the next one succeeds without help."""

from __future__ import annotations

import shutil
import signal
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import pytest

from storage_init.base.errors import WarmstartError
from storage_init.base.files import list_files
from storage_init.fetch.initializer import initialize
from storage_init.fetch.shared_store import SharedStore
from storage_init.format.package import PACKAGE_FILE
from storage_init.format.reading import read_package
from storage_init.format.verify import check_files, verify
from storage_init.store.layout import Store
from tests.support.machine.interrupt import (
    FINISHED,
    REFUSED,
    SUCCEEDED,
    choose_steps,
    die,
    find_the_disk_full,
    run_in_child,
)
from tests.support.models.packages import writable_copy
from tests.unit.storage_init.fakes import NAME, publish_fake, with_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Pod:
    """A volume with a store and a destination, and what is to be fetched into it."""

    volume: Path
    source: Path

    @property
    def store(self) -> Store:
        return Store(self.volume / "store")

    @property
    def destination(self) -> Path:
        return self.volume / "models"

    def fetch(self) -> int:
        try:
            shared = SharedStore(self.store, poll_seconds=0.01, stale_seconds=0.05)
            initialize(self.source.as_uri(), self.destination, shared)
        except WarmstartError:
            return REFUSED
        return SUCCEEDED

    def check(self) -> None:
        """Every version that can be resolved is whole, and so is what a predictor would read."""
        for version in self.store.versions(NAME):
            verify(self.store.version_folder(NAME, version))
        if (self.destination / PACKAGE_FILE).exists():
            package, _ = read_package(self.destination)
            assert check_files(self.destination, package.files) == []


@pytest.fixture(
    params=[
        "an empty volume",
        pytest.param("another model there", marks=pytest.mark.slow),
        "a hit",
    ]
)
def pristine(request: pytest.FixtureRequest, tmp_path: Path) -> Pod:
    """A volume as it is before the fetch; copied for each attempt."""
    made = publish_fake(Store(tmp_path / "made"), with_weights(b"wanted"))
    source = writable_copy(made, tmp_path / "source")
    pod = Pod(tmp_path / "pristine", source)
    pod.volume.mkdir()
    if request.param == "another model there":
        other = publish_fake(Store(tmp_path / "other"), with_weights(b"other"), key="0" * 64)
        assert Pod(pod.volume, writable_copy(other, tmp_path / "other-source")).fetch() == SUCCEEDED
    elif request.param == "a hit":
        assert pod.fetch() == SUCCEEDED
        shutil.rmtree(pod.destination)
    return pod


EXHAUSTIVE = pytest.mark.parametrize(
    "exhaustive", [False, pytest.param(True, marks=pytest.mark.slow)]
)


def attempts(
    pristine: Pod, interrupt: Callable[[], None], *, exhaustive: bool
) -> Iterator[tuple[int, int, Pod]]:
    """The step, the exit code and the volume after an interruption at each step, or at some."""

    def copied(name: str) -> Pod:
        pod = Pod(pristine.volume.with_name(name), pristine.source)
        shutil.copytree(pristine.volume, pod.volume, symlinks=True)
        return pod

    probe = copied("probe")
    for step in count(1) if exhaustive else choose_steps(probe.volume, probe.fetch):
        pod = copied(f"step-{step}")
        code = run_in_child(pod.volume, step, interrupt, pod.fetch)
        if code == FINISHED:
            if exhaustive:
                return
            continue  # the lease beats by the clock, so the number of changes varies a little
        yield step, code, pod
        shutil.rmtree(pod.volume)


@EXHAUSTIVE
def test_a_fetch_killed_at_any_step_leaves_only_what_verifies_and_the_next_succeeds(
    pristine: Pod, exhaustive: bool, record_property: Callable[[str, object], None]
) -> None:
    wanted = read_package(pristine.source)[1]
    last = 0
    for step, code, pod in attempts(pristine, die, exhaustive=exhaustive):
        assert code == -signal.SIGKILL
        last = step
        pod.check()
        assert pod.fetch() == SUCCEEDED
        pod.check()
        assert read_package(pod.destination)[1] == wanted
        assert list_files(pod.destination) == list_files(pristine.source)
    record_property("last_kill_point", last)
    assert last > 20


@EXHAUSTIVE
def test_a_fetch_that_finds_the_disk_full_at_any_step_says_so_and_the_next_succeeds(
    pristine: Pod, exhaustive: bool
) -> None:
    for step, code, pod in attempts(pristine, find_the_disk_full, exhaustive=exhaustive):
        # What cannot be counted or cleaned up stays: the fetch is a success nevertheless.
        assert code in (REFUSED, SUCCEEDED), f"step {step}"
        pod.check()
        assert pod.fetch() == SUCCEEDED
        pod.check()
