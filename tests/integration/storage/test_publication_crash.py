"""A publication that dies or fails at any step: readers see the old version or the new one, whole.

A child process is killed before its first change to the store, before its second, and so on until
it gets through.
"""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import pytest

from storage_init.base.errors import StoreError
from storage_init.format.verify import verify
from storage_init.store.layout import Store
from storage_init.store.publish import publish
from tests.support.machine.interrupt import (
    BROKEN,
    FINISHED,
    REFUSED,
    SUCCEEDED,
    choose_steps,
    die,
    find_the_disk_full,
    run_in_child,
)
from tests.unit.storage_init.fakes import (
    FILES,
    KEY,
    fake_package,
    publish_fake,
    with_weights,
    write_files,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.integration

OLD_KEY = "0" * 64


@dataclass(frozen=True)
class Scenario:
    """What the store holds before, and what the publication brings."""

    before: tuple[tuple[str, Mapping[str, bytes]], ...]
    key: str
    files: Mapping[str, bytes]


OLD = (OLD_KEY, with_weights(b"the old weights"))
SCENARIOS = {
    "an empty store": Scenario((), KEY, FILES),
    "a new version": Scenario((OLD,), KEY, FILES),
    "the same bytes again": Scenario(((KEY, FILES), OLD), KEY, FILES),
    "another content of a known key": Scenario(
        ((KEY, FILES), OLD), KEY, with_weights(b"measured again")
    ),
}


@pytest.fixture(params=SCENARIOS)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    return SCENARIOS[request.param]


@pytest.fixture
def pristine(scenario: Scenario, tmp_path: Path) -> Path:
    """The store as it is before the publication; copied for each attempt."""
    root = tmp_path / "pristine"
    root.mkdir()
    for key, files in scenario.before:
        publish_fake(Store(root), files, key=key)
    return root


def publish_scenario(root: Path, scenario: Scenario) -> int:
    staged_whole = False
    try:
        store = Store(root)
        with store.staging() as staged:
            write_files(staged, scenario.files)
            staged_whole = True
            publish(store, staged, partial(fake_package, key=scenario.key))
    except StoreError:
        return REFUSED
    except OSError:
        # Writing the files is the caller's business; what fails after that is the store's.
        return BROKEN if staged_whole else REFUSED
    return SUCCEEDED


EXHAUSTIVE = pytest.mark.parametrize(
    "exhaustive", [False, pytest.param(True, marks=pytest.mark.slow)]
)


def attempts(
    pristine: Path, scenario: Scenario, interrupt: Callable[[], None], *, exhaustive: bool
) -> Iterator[tuple[int, int, Store]]:
    """The step, the exit code and the store after an interruption at each step, or at some."""

    def copied(name: str) -> tuple[Path, Callable[[], int]]:
        root = shutil.copytree(pristine, pristine.with_name(name), symlinks=True)
        return root, partial(publish_scenario, root, scenario)

    for step in count(1) if exhaustive else choose_steps(*copied("probe")):
        root, work = copied(f"step-{step}")
        code = run_in_child(root, step, interrupt, work)
        if code == FINISHED:
            assert exhaustive, f"step {step} is beyond the end"
            return
        yield step, code, Store(root)
        shutil.rmtree(root)


def state(store: Store) -> tuple[str | None, set[str], Path | None]:
    """What readers see of the model; every version they see is whole."""
    versions = set(store.versions("m"))
    for version in versions:
        verify(store.version_folder("m", version))
    current = store.current("m")
    if current is not None:
        assert store.resolve("m").name == current
    found = store.find("m", KEY)
    return current, versions, found and found.relative_to(store.root)


@EXHAUSTIVE
def test_a_publication_killed_at_any_step_leaves_a_whole_current_version(
    pristine: Path, scenario: Scenario, exhaustive: bool
) -> None:
    old, old_versions, _ = state(Store(pristine))
    finished = pristine.with_name("finished")
    shutil.copytree(pristine, finished, symlinks=True)
    new = publish_fake(Store(finished), scenario.files, key=scenario.key).name

    last = 0
    for step, code, store in attempts(pristine, scenario, die, exhaustive=exhaustive):
        assert code == -signal.SIGKILL
        last = step
        current, versions, _ = state(store)
        assert current in (old, new)
        assert old_versions <= versions
        # The next publication needs no help, and what the dead one left does not stop it.
        following = publish_fake(store, scenario.files, key=scenario.key)
        assert following.name == new
        current, versions, found = state(store)
        assert current == new
        assert versions == old_versions | {new}
        assert found == following.relative_to(store.root)
    # At least every file written and sealed, the two renames and the links around them.
    assert last > 2 * len(FILES)


@EXHAUSTIVE
def test_a_publication_that_finds_the_disk_full_at_any_step_leaves_current_as_it_was(
    pristine: Path, scenario: Scenario, exhaustive: bool
) -> None:
    old, old_versions, _ = state(Store(pristine))
    for step, code, store in attempts(
        pristine, scenario, find_the_disk_full, exhaustive=exhaustive
    ):
        # What cannot be cleaned up stays: the publication is a success nevertheless.
        assert code in (REFUSED, SUCCEEDED), f"step {step}"
        current, versions, _ = state(store)
        assert old_versions <= versions
        if code == REFUSED:
            assert current == old, f"step {step}"
        following = publish_fake(store, scenario.files, key=scenario.key)
        assert store.resolve("m") == store.find("m", scenario.key) == following


def test_a_reader_sees_only_whole_versions_while_others_are_published(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    publish_fake(store)
    writer = os.fork()
    if not writer:
        code = BROKEN
        try:
            for index in range(40):
                # Every second one loses to an older version of its key and is discarded.
                files = with_weights(f"weights {index}".encode())
                publish_fake(store, files, key=f"{index // 2:064}")
            code = FINISHED
        finally:
            os._exit(code)
    seen = set()
    while not (ended := os.waitpid(writer, os.WNOHANG))[0]:
        folder = store.resolve("m")
        verify(folder)
        seen.add(folder.name)
    assert os.waitstatus_to_exitcode(ended[1]) == FINISHED
    assert len(seen) > 1
    assert len(store.versions("m")) == 21
