"""Collect what a store no longer needs, safely beside publishers, readers and other collectors."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from storage_init.base import sizes
from storage_init.base.errors import StoreError
from storage_init.base.files import children, freed, last_change, stale_is_missing
from storage_init.store import counters, inventory, pins, resolutions
from storage_init.store.gc.readers import readers_of
from storage_init.store.gc.retention import decide
from storage_init.store.gc.trash import left_behind, trash
from storage_init.store.layout import FETCHED, LEASES

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage_init.store.gc.readers import Readers
    from storage_init.store.gc.retention import Decision, Policy
    from storage_init.store.gc.trash import Trash
    from storage_init.store.inventory import Staged
    from storage_init.store.layout import Store

# Whatever --min-age says: anything younger may be a publication or a collection in progress.
STAGING_MIN_AGE = 3600.0


@dataclass(frozen=True)
class Outcome:
    """What a collection does, or would do, with one thing, and why.

    ``keep`` leaves it, ``remove`` deletes it, ``restore`` moves it back to its place, and ``fail``
    means that its removal failed. ``freed`` is in bytes of disk, ``age`` in seconds.
    """

    kind: Literal["version", "staging", "key", "lease", "record"]
    name: str
    action: Literal["keep", "remove", "restore", "fail"]
    reason: str
    freed: int = 0
    age: float | None = None


def collect(store: Store, policy: Policy, *, dry_run: bool = False) -> list[Outcome]:
    """Remove what the policy does not keep and nobody reads; return one outcome for each thing.

    A dry run removes nothing. If the store is writable, even a dry run creates a file in
    ``.staging`` to read the store's clock; otherwise it uses this machine's clock.

    Raises:
        StoreError: the store cannot be written.
    """
    with ExitStack() as stack:
        try:
            own = stack.enter_context(trash(store))
        except StoreError:
            if not dry_run:
                raise
            now, scratch = time.time(), None
        else:
            now, scratch = own.now(), own.folder
        readers = readers_of(store.root, scratch)
        collector = _Collector(store, policy, now, readers, scratch, None if dry_run else own)
        outcomes = collector.run()
        if not dry_run:
            counters.fold(store, now)
        return outcomes


@dataclass(frozen=True)
class _Collector:
    """One collection: ``now`` is the store's clock, ``scratch`` its own folder in ``.staging``.

    ``own`` is None for a dry run, which has the same outcomes and changes nothing.
    """

    store: Store
    policy: Policy
    now: float
    readers: Readers
    scratch: Path | None
    own: Trash | None

    def run(self) -> list[Outcome]:
        """Collect; leave out whatever another process did first."""
        done = [self._restore(*lost) for lost in self._lost()]
        going = []
        for decision in decide(inventory.versions(self.store), self.policy, self.now):
            outcome = self._collect(decision)
            done.append(outcome)
            if self.own is None and outcome and outcome.action == "remove":
                going.append(decision.version.folder)
        links = inventory.dangling_keys(self.store, going)
        done += [self._remove_key(link) for link in links]
        for model in inventory.models(self.store):
            for path in pins.left_behind(self.store, model):
                done.append(self._remove_old("record", path, "its publication was killed"))
        for path in resolutions.useless(self.store, links):
            done.append(self._remove_old("record", path, "leads to no version"))
        for entry in (*children(self.store.root / LEASES), *children(self.store.root / FETCHED)):
            if not entry.is_symlink():  # a link is a key
                done.append(self._remove_old("lease", Path(entry.path), "its holder is dead"))
        staged = [item for item in inventory.staged(self.store) if item.path != self.scratch]
        done += [self._collect_staged(item) for item in staged]
        return [outcome for outcome in done if outcome is not None]

    def _lost(self) -> list[tuple[Path, str, str]]:
        """Find versions that are wanted, and that a killed collector had taken away."""
        return [
            (path, model, version)
            for path, model, version in left_behind(self.store, self.scratch)
            if self._is_wanted(model, version)
            and not self.store.version_folder(model, version).exists()
        ]

    def _is_wanted(self, model: str, version: str) -> bool:
        current = inventory.current_target(self.store, model) == version
        return current or bool(pins.owners(self.store, model, version))

    def _restore(self, path: Path, model: str, version: str) -> Outcome | None:
        reason = "current or pinned, but a collection that was killed had taken it away"
        outcome = Outcome("version", f"{model}@{version}", "restore", reason)
        return self._attempt(outcome, lambda own: own.restore(path, model, version))

    def _collect(self, decision: Decision) -> Outcome | None:
        version = decision.version
        reader = None if decision.stays else self.readers.of(version.folder)
        age = self.now - version.published
        if decision.stays or reader:
            return Outcome("version", version.label, "keep", reader or decision.reason, age=age)
        size = freed(version.folder)
        outcome = Outcome("version", version.label, "remove", decision.reason, size, age)
        fresh = inventory.survey(self.store, version.model, version.version)
        if fresh.current or fresh.pins or fresh.touched != version.touched:
            return _kept(outcome, "changed meanwhile")
        if fresh.whole and not version.whole:  # this machine's memory may be at fault
            return _kept(outcome, "was broken at the first look alone")
        return self._attempt(
            outcome,
            lambda own: own.remove_version(
                version.folder, version.model, version.version, self.readers.of
            ),
        )

    def _remove_key(self, link: Path) -> Outcome | None:
        name = link.relative_to(self.store.root).as_posix()
        outcome = Outcome("key", name, "remove", "leads to no version")
        return self._attempt(outcome, lambda own: own.remove_key(link))

    def _remove_old(
        self, kind: Literal["lease", "record"], path: Path, reason: str
    ) -> Outcome | None:
        """Remove a small file unless it is young; those that stay are not worth a line."""
        age, name = self.now - last_change(path), path.relative_to(self.store.root).as_posix()
        if age < max(self.policy.min_age, STAGING_MIN_AGE):
            return None
        return self._attempt(
            Outcome(kind, name, "remove", reason, age=age), lambda _: path.unlink()
        )

    def _collect_staged(self, item: Staged) -> Outcome | None:
        name, age = f".staging/{item.path.name}", self.now - item.changed
        limit = max(self.policy.min_age, STAGING_MIN_AGE)
        if age < limit:
            why = f"changed {sizes.age(age)} ago, less than {sizes.age(limit)}: may be in progress"
            return Outcome("staging", name, "keep", why, age=age)
        if reader := self.readers.of(item.path):
            return Outcome("staging", name, "keep", reader, age=age)
        reason, size = f"left behind {sizes.age(age)} ago", freed(item.path)
        outcome = Outcome("staging", name, "remove", reason, size, age)
        if last_change(item.path) != item.changed:
            return _kept(outcome, "changed meanwhile")
        return self._attempt(outcome, lambda own: self._doom_staged(item.path, own))

    def _doom_staged(self, folder: Path, own: Trash) -> None:
        for path, model, version in left_behind(self.store, self.scratch):
            if path.parent == folder:  # it may have become current meanwhile
                own.remove_version(path, model, version, self.readers.of)
        own.doom(folder)

    def _attempt(self, outcome: Outcome, act: Callable[[Trash], str | None]) -> Outcome | None:
        """Run ``act``, except in a dry run; return None if another process was faster.

        ``act`` returns the reason if it had to leave things as they were.
        """
        if self.own is None:
            return outcome
        try:
            with stale_is_missing():
                hindrance = act(self.own)
        except FileNotFoundError:
            return None
        except OSError as error:
            return replace(outcome, action="fail", reason=error.strerror or str(error), freed=0)
        return _kept(outcome, hindrance) if hindrance else outcome


def _kept(outcome: Outcome, reason: str) -> Outcome:
    return replace(outcome, action="keep", reason=reason, freed=0)
