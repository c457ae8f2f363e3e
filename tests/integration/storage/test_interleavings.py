"""Everything that changes a store, interleaved at every file operation and killed at any.

A failure prints the plan of its run: ``run(made, scenario, folder, Plan(...))`` repeats it.
"""

from __future__ import annotations

import random
import re
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from storage_init.store import publish as publishing
from storage_init.store.conversion import migrate as migrating
from storage_init.store.gc import trash
from storage_init.store.layout import Store, swap_link
from tests.integration.storage.interleaving import Actors, Scenario, Template, World, run, template
from tests.support.machine.schedules import Plan, Run, deaths, preemptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]


def republish(world: World) -> Actors:
    """An old version becomes current again while it is being collected."""
    return {"publish": world.publisher("1"), "gc": world.collector(), "serve": world.server()}


def known_key(world: World) -> Actors:
    """A publication finds an old version of its key, which is being collected."""
    return {"publish": world.publisher("other"), "gc": world.collector()}


def rivals(world: World) -> Actors:
    """Two publications of one key, with different bytes."""
    first, second = world.publisher("new"), world.publisher("rival")
    return {"one": first, "two": second, "gc": world.collector()}


def supersede(world: World) -> Actors:
    """A publication takes the key of another."""
    first, second = world.publisher("new"), world.publisher("rival", supersede=True)
    return {"one": first, "two": second, "serve": world.server()}


def pin(world: World) -> Actors:
    """Old versions are pinned while they are being collected."""
    pinner = world.pinner("1", "2")
    return {"pin": pinner, "gc": world.collector(), "publish": world.publisher("new")}


def serve(world: World) -> Actors:
    """An old version is opened while two collectors take it."""
    return {"serve": world.server("1"), "gc": world.collector(), "gc 2": world.collector()}


def collectors(world: World) -> Actors:
    """Two collectors, and a publication of a version that both take."""
    publisher = world.publisher("2")
    return {"gc": world.collector(), "gc 2": world.collector(), "publish": publisher}


def damaged(world: World) -> Actors:
    """The current version is damaged, and is replaced while others are collected."""
    folder = world.store.resolve("m")
    (folder / "tokenizer.json").chmod(0o644)
    (folder / "tokenizer.json").write_bytes(b"?")
    world.seen.add((folder.name, folder.stat().st_ino))
    return {"publish": world.publisher("3"), "gc": world.collector()}


def fetch(world: World) -> Actors:
    """Two pods fetch one source, and one may take the lease of the other."""
    return {"pod": world.fetcher(), "pod 2": world.fetcher(), "gc": world.collector()}


def migrate(world: World) -> Actors:
    """A store of format 2 is migrated while another version is published."""
    world.plant_old()
    publisher = world.publisher("new")
    return {"migrate": world.migrator(), "publish": publisher, "gc": world.collector()}


def migrate_twice(world: World) -> Actors:
    """Two migrations of one store, from which a pod reads."""
    world.plant_old()
    return {"one": world.migrator(), "two": world.migrator(), "serve": world.server()}


SCENARIOS = (
    *(republish, known_key, rivals, supersede, pin, serve, collectors, damaged, fetch),
    *(migrate, migrate_twice),
)
each_scenario = pytest.mark.parametrize("scenario", SCENARIOS)


@contextmanager
def current_first() -> Iterator[None]:
    """A publisher that makes a version current before it is in its place."""
    real = publishing.put_in_place

    def put_in_place(store: Store, staged: Path, target: Path) -> None:
        swap_link(store, target.parents[1] / "current", f"versions/{target.name}")
        real(store, staged, target)

    with mock.patch.object(publishing, "put_in_place", put_in_place):
        yield


@contextmanager
def one_look() -> Iterator[None]:
    """A collector that does not look again at what it has taken."""
    with (
        mock.patch.object(trash, "current_target", lambda *_: None),
        mock.patch.object(trash, "owners", lambda *_: []),
    ):
        yield


@contextmanager
def blind_to_readers() -> Iterator[None]:
    """A collector that looks for readers before it takes a version, and not after."""
    real = trash.Trash.remove_version

    def remove(own: trash.Trash, source: Path, model: str, version: str, _: object) -> str | None:
        return real(own, source, model, version, lambda _: None)

    with mock.patch.object(trash.Trash, "remove_version", remove):
        yield


@contextmanager
def no_hold() -> Iterator[None]:
    """A publisher that does not keep from gc what it is about to make current."""

    @contextmanager
    def holding(store: Store, name: str) -> Iterator[Callable[[str], bool]]:
        yield lambda version: store.version_folder(name, version).is_dir()

    with mock.patch.object(publishing, "holding", holding):
        yield


@contextmanager
def blind_move() -> Iterator[None]:
    """A migration that does not look at what it displaces, as where names cannot be exchanged."""
    with mock.patch.object(migrating, "swap", lambda *_: False):
        yield


PLANTED = (
    (current_first, rivals),
    (one_look, republish),
    (one_look, pin),
    (blind_to_readers, serve),
    (no_hold, known_key),
    (no_hold, republish),
    pytest.param(blind_move, migrate, marks=pytest.mark.slow),
)
each_scenario = pytest.mark.parametrize("scenario", SCENARIOS)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder in memory, if there is one: a run changes some hundreds of files."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder gets a name of its own
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as made:
        yield Path(made)


@pytest.fixture(scope="module")
def made(folder: Path) -> Template:
    return template(folder)


@pytest.fixture
def first(made: Template, folder: Path, scenario: Scenario) -> Run:
    """A run of one actor after the other, which tells how many operations there are."""
    return run(made, scenario, folder / "run", None)


@each_scenario
@pytest.mark.parametrize("runs", [30, pytest.param(600, marks=pytest.mark.slow)])
def test_random_schedules_and_deaths(
    made: Template, folder: Path, scenario: Scenario, first: Run, runs: int
) -> None:
    for seed in range(runs):
        plan = Plan.at_random(seed, len(first.actors), first.steps)
        run(made, scenario, folder / "run", plan)


@pytest.mark.slow
@each_scenario
def test_every_switch_and_every_death_before_a_change(
    made: Template, folder: Path, scenario: Scenario, first: Run
) -> None:
    for plan in systematic(first):
        run(made, scenario, folder / "run", plan)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [known_key, damaged])
def test_every_two_switches_before_changes(
    made: Template, folder: Path, scenario: Scenario, first: Run
) -> None:
    for plan in preemptions(len(first.actors), first.changes, 2):
        run(made, scenario, folder / "run", plan)


@pytest.mark.parametrize(("bug", "scenario"), PLANTED)
def test_planted_bugs_are_found(
    made: Template,
    folder: Path,
    bug: Callable[[], AbstractContextManager[None]],
    scenario: Scenario,
    first: Run,
) -> None:
    with bug(), pytest.raises(AssertionError, match=r"replay with Plan\(order") as found:
        for plan in shuffled(systematic(first)):
            run(made, scenario, folder / "run", plan)
    # The plan that it prints finds the bug again, and nothing without it.
    printed = re.search(r"replay with (Plan\(.*\))", str(found.value))
    assert printed is not None
    plan = eval(printed[1], {"Plan": Plan})  # noqa: S307 - printed by this test
    with bug(), pytest.raises(AssertionError):
        run(made, scenario, folder / "run", plan)
    run(made, scenario, folder / "run", plan)


def shuffled(plans: Iterator[Plan]) -> list[Plan]:
    found = list(plans)
    return random.Random(1).sample(found, len(found))


def systematic(first: Run) -> Iterator[Plan]:
    actors = len(first.actors)
    yield from preemptions(actors, first.changes, 1)
    yield from deaths(actors, first.changes)
