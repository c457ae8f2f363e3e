"""Everything that changes a store, interleaved at every file operation and killed at any.

A failure prints the plan of its run. ``test_a_plan_is_replayed`` shows how to run one again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.storage.interleaving import Template, World, run, template
from tests.support.machine.schedules import Plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Actors = dict[str, Callable[[], None]]

pytestmark = pytest.mark.integration


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
    """The current version is damaged and is replaced while it is served and others are collected."""
    folder = world.store.resolve("m")
    (folder / "tokenizer.json").chmod(0o644)
    (folder / "tokenizer.json").write_bytes(b"?")
    world.seen.add((folder.name, folder.stat().st_ino))
    return {"publish": world.publisher("3"), "gc": world.collector()}


def fetch(world: World) -> Actors:
    """Two pods fetch one source, and one may take the lease of the other."""
    return {"pod": world.fetcher(), "pod 2": world.fetcher(), "gc": world.collector()}


SCENARIOS = (republish, known_key, rivals, supersede, pin, serve, collectors, damaged, fetch)
each_scenario = pytest.mark.parametrize("scenario", SCENARIOS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return template(tmp_path_factory.mktemp("interleaving"))


@each_scenario
def test_it(made: Template, tmp_path: Path, scenario: Callable[[World], Actors]) -> None:
    turns = run(
        made,
        scenario,
        Plan((0, 1, 2)[: len(scenario(World(made, tmp_path / "w")))]),
        tmp_path / "s",
    )
    print(scenario.__name__, turns.steps, len(turns.changes))
    import time

    t = time.time()
    n = 0
    while time.time() - t < 5:
        turns = run(
            made, scenario, Plan.at_random(n, len(turns.actors), turns.steps), tmp_path / "s"
        )
        n += 1
    print(n, "runs")
