"""A small store and what must hold of it, for runs under a scheduler."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from unittest import mock

from storage_init.base.errors import StoreError
from storage_init.fetch import preparing
from storage_init.fetch.shared_store import SharedStore
from storage_init.format.package import PACKAGE_FILE, Source
from storage_init.store import pins
from storage_init.store.conversion.migrate import migrate
from storage_init.store.gc import collect as collecting
from storage_init.store.gc import processes
from storage_init.store.gc.collect import collect
from storage_init.store.gc.processes import Process, Snapshot
from storage_init.store.gc.readers import Readers
from storage_init.store.layout import STAGING, Store, swap_link
from storage_init.store.lease import Lease
from storage_init.store.publish import publish
from tests.support.machine.schedules import Plan, Run
from tests.unit.storage_init.collecting import DAY, EAGER, age
from tests.unit.storage_init.fakes import (
    NAME,
    fake_package,
    read_files,
    write_files,
)
from tests.unit.storage_init.format import vectors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SOURCE = Source(uri="hf://acme/bert", revision="c" * 40)
PATHS = ("fp32/model.onnx", "int8/model.onnx", "selftest.npz", "tokenizer.json")
# The versions by their weights, and the key of each; 0 to 3 are there at first, and 3 is current.
KEYS = {"0": "a", "1": "b", "2": "c", "3": "d", "new": "e", "rival": "e", "other": "b"}
STALE_SECONDS = 0.5
# A version of format 2, and what a migration makes of it.
OLD, MIGRATED = "old", "migrated"

Actors = dict[str, Callable[[], None]]


@dataclass(frozen=True)
class Template:
    """A store at rest, and every version that may come to be: its name and its files."""

    root: Path
    names: Mapping[str, str]
    files: Mapping[str, Mapping[str, bytes]]


def template(folder: Path) -> Template:
    """Build the store that each run starts from a copy of."""
    store = Store(folder / "store")
    names, files = {}, {}
    for mark, key in KEYS.items():
        place = store if mark.isdecimal() else Store(folder / mark)
        with place.staging() as staged:
            write_files(staged, small_files(mark))
            made = publish(place, staged, partial(fake_package, key=key * 64))
        names[mark], files[made.name] = made.name, read_files(made)
    add_old(Store(folder / OLD), names, files)
    for number in range(4):
        age(store.version_folder(NAME, names[str(number)]), (4 - number) * 10 * DAY)
    return Template(store.root, names, files)


def add_old(store: Store, names: dict[str, str], files: dict[str, dict[str, bytes]]) -> None:
    """Add the version of format 2 in a store of its own, and what it is migrated to."""
    plant_old(store)
    old = store.resolve(NAME)
    assert [found.problem for found in migrate(store)] == [""]
    for mark, made in ((OLD, old), (MIGRATED, store.resolve(NAME))):
        names[mark], files[made.name] = made.name, read_files(made)


def plant_old(store: Store) -> None:
    """Put a version of format 2 into a store, and make it current."""
    written = {path: text.encode() for path, text in vectors.files_of("format-2").items()}
    folder = write_files(store.version_folder(NAME, vectors.OLD_VERSION), written)
    (store.root / STAGING).mkdir(parents=True, exist_ok=True)
    swap_link(store, folder.parents[1] / "current", f"versions/{folder.name}")


def small_files(mark: str) -> dict[str, bytes]:
    return {path: f"{mark} {path}".encode() for path in PATHS}


@dataclass
class World:
    """One run's store, what its actors have been told, and what must hold at any moment."""

    template: Template
    root: Path
    allowed: set[str] = field(default_factory=set)
    targets: list[set[str]] = field(default_factory=list)
    pinned: dict[str, str] = field(default_factory=dict)
    mapped: str | None = None
    handles: list[int] = field(default_factory=list)
    seen: set[tuple[str, int]] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    current: str | None = None

    def __post_init__(self) -> None:
        shutil.copytree(self.template.root, self.root, symlinks=True)
        self.store = Store(self.root)
        self.current = self.store.current(NAME)
        self.allowed |= {self.name(mark) for mark in KEYS if mark.isdecimal()}

    def name(self, mark: str) -> str:
        return self.template.names[mark]

    def publisher(self, mark: str, *, supersede: bool = False) -> Callable[[], None]:
        """Publish these files, staged already, with their key."""
        staged = self.root / STAGING / f"publish-{mark}"
        write_files(staged, small_files(mark))
        key = KEYS[mark]

        def work() -> None:
            mine = {self.name(each) for each in KEYS if KEYS[each] == key}
            self.allowed.add(self.name(mark))
            self.targets.append(mine)
            describe = partial(fake_package, key=key * 64)
            publish(self.store, staged, describe, supersede=supersede)
            self.targets.remove(mine)
            self.ended.add(mark)

        return work

    def plant_old(self) -> None:
        """Make a version of format 2 current."""
        plant_old(self.store)
        self.current = self.name(OLD)
        self.allowed |= {self.name(OLD), self.name(MIGRATED)}

    def migrator(self) -> Callable[[], None]:
        def work() -> None:
            # What a publisher made current meanwhile may be displaced, and then comes back.
            mine = {self.name(MIGRATED), self.name("new")}
            self.targets.append(mine)
            assert {found.problem for found in migrate(self.store)} <= {""}
            self.targets.remove(mine)
            self.ended.add(MIGRATED)

        return work

    def collector(self) -> Callable[[], None]:
        def work() -> None:
            failed = [o for o in collect(self.store, EAGER) if o.action == "fail"]
            assert failed == []

        return work

    def pinner(self, *marks: str) -> Callable[[], None]:
        """Pin one version after the other for one service, unless it is gone."""

        def work() -> None:
            for mark in marks:
                self.pinned.pop("owner", None)
                try:
                    pins.pin(self.store, NAME, self.name(mark), "owner")
                except StoreError:
                    continue
                self.pinned["owner"] = self.name(mark)

        return work

    def server(self, mark: str | None = None) -> Callable[[], None]:
        """Open every file of a version, by default of ``current``, and keep them open."""

        def work() -> None:
            handles = self.handles
            found: dict[str, bytes] = {}
            try:
                folder = self.store.resolve(NAME, mark and self.name(mark))
                for path in self.template.files[folder.name]:
                    handles.append(os.open(folder / path, os.O_RDONLY))
                    found[path] = os.read(handles[-1], 100_000)
                assert found == self.template.files[folder.name], "a reader saw another version"
                self.mapped = folder.name
            except (FileNotFoundError, StoreError):
                pass
            finally:
                if self.mapped is None:
                    self._close_handles()

        return work

    def fetcher(self) -> Callable[[], None]:
        def work() -> None:
            shared = SharedStore(self.store, stale_seconds=STALE_SECONDS)
            folder = shared.obtain(SOURCE).folder
            assert read_files(folder) == self.template.files[self.name("new")]

        return work

    def look(self) -> None:
        """Assert what must hold at any moment, and take note of what is there."""
        for folder in self.root.glob("models/*/versions/*"):
            self._look_at(folder.parents[1].name, folder)
        target = (self.store.model_folder(NAME) / "current").readlink().name
        if target != self.current:
            assert any(target in mine for mine in self.targets), "current went back"
            self.current = target
        wanted = {"current": target, **self.pinned}
        wanted |= {"mapped": self.mapped} if self.mapped else {}
        for why, version in wanted.items():
            assert self._is_kept(version), f"{why}: {version} is gone"

    def _look_at(self, model: str, folder: Path) -> None:
        inode = folder.stat().st_ino
        if (folder.name, inode) in self.seen or not (folder / PACKAGE_FILE).is_file():
            return
        assert model != NAME or folder.name in self.allowed, f"nobody published {folder.name}"
        assert read_files(folder) == self.template.files[folder.name], f"{folder} is not whole"
        self.seen.add((folder.name, inode))

    def _is_kept(self, version: str) -> bool:
        """Whether a version is in its place, or where a collector may still put it back."""
        if self.store.version_folder(NAME, version).is_dir():
            return True
        return any(self.root.glob(f"{STAGING}/gc-*/{NAME}@{version}"))

    def recover(self) -> None:
        """After the run, the next collection and publication find everything in order."""
        self.targets.clear()
        if {MIGRATED, "new"} <= self.ended:
            assert self.current == self.name("new"), "a migration made an older version current"
        self._collect_later()
        if self.mapped:  # where a killed collector had put it, unless that is its place
            assert self._is_kept(self.mapped)
        self.mapped = None
        self._close_handles()
        self._collect_later()
        folder = self.store.resolve(NAME)
        is_known = (folder.name, folder.stat().st_ino) in self.seen
        assert is_known, "current is not whole"
        for version in self.pinned.values():
            assert self.store.version_folder(NAME, version).is_dir(), f"{version} is lost"
        staged = sorted(path.name for path in (self.root / STAGING).iterdir())
        assert staged == [], f"{staged} are left behind"
        self.publisher("rival", supersede=True)()
        assert self.store.resolve(NAME).name == self.name("rival")

    def _collect_later(self) -> None:
        age(self.root / STAGING, DAY)
        assert [o for o in collect(self.store, EAGER) if o.action == "fail"] == []
        self.look()

    def close(self) -> None:
        self._close_handles()
        shutil.rmtree(self.root)

    def _close_handles(self) -> None:
        while self.handles:
            os.close(self.handles.pop())

    def snapshot(self, _: int) -> Snapshot:
        stats = [os.fstat(handle) for handle in self.handles]
        return Snapshot({(s.st_dev, s.st_ino): Process(1, "server") for s in stats})


Scenario = Callable[[World], Actors]


def run(made: Template, scenario: Scenario, root: Path, plan: Plan | None) -> Run:
    """Run a scenario after a plan, by default one actor after the other.

    Raises:
        AssertionError: something did not hold; the message has the plan.
    """
    world = World(made, root)
    actors = scenario(world)
    turns = Run(actors, plan or Plan(tuple(range(len(actors)))), world.look)
    try:
        with _simulated(world):
            turns.go()
            world.recover()
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}\n{turns.tell()}") from error
    finally:
        world.close()
    return turns


@contextmanager
def _simulated(world: World) -> Iterator[None]:
    """Replace what is not the store's: processes, downloads, heartbeats and threads."""

    def download(_: Source, folder: Path, admit: object) -> str:
        write_files(folder, world.template.files[world.name("new")])
        return "safetensors"

    readers = Readers(world.root.stat().st_dev, leases=False)
    with (
        mock.patch.object(processes, "snapshot", world.snapshot),
        mock.patch.object(collecting, "readers_of", lambda *_: readers),
        mock.patch.object(preparing, "fetch", download),
        mock.patch.object(os, "fsync", lambda _: None),
        mock.patch.object(Lease, "_beat", lambda *_: None),
        mock.patch("storage_init.format.verify.usable_cpus", lambda: 1),
    ):
        yield
