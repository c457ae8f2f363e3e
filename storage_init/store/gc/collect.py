"""Collect what a store no longer needs, safely beside publishers, readers and other collectors."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from storage_init.base import sizes
from storage_init.base.errors import StoreError
from storage_init.base.files import freed, last_change
from storage_init.store import counters, inventory
from storage_init.store.gc.readers import readers_of
from storage_init.store.gc.retention import Decision, Policy, decide
from storage_init.store.gc.trash import left_behind, trash

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storage_init.store.gc.readers import Readers
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

    kind: Literal["version", "staging", "key"]
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
        StoreError: the store does not exist or cannot be written.
    """
    inventory.open_store(store)
    with ExitStack() as stack:
        try:
            own = stack.enter_context(trash(store))
        except StoreError:
            if not dry_run:
                raise
            now, scratch = time.time(), None
        else:
            now, scratch = own.now(), own.folder
        collector = _Collector(store, policy, now, readers_of(store.root, scratch), scratch)
        if dry_run:
            return collector.plan()
        outcomes = collector.run(own)
        counters.fold(store, now)
        return outcomes


@dataclass(frozen=True)
class _Collector:
    """One collection: ``now`` is the store's clock, ``scratch`` its own folder in ``.staging``."""

    store: Store
    policy: Policy
    now: float
    readers: Readers
    scratch: Path | None

    def plan(self) -> list[Outcome]:
        """Return what ``run`` would do, without changing anything."""
        decisions = self._decisions()
        versions = [self._judge(decision) for decision in decisions]
        going = [
            decision.version.folder
            for decision, outcome in zip(decisions, versions, strict=True)
            if outcome.action == "remove"
        ]
        keys = [_key(self.store, link) for link in inventory.dangling_keys(self.store, going)]
        return [
            *(_restored(model, version) for _, model, version in self._lost()),
            *versions,
            *keys,
            *(self._judge_staged(item) for item in self._staged()),
        ]

    def run(self, own: Trash) -> list[Outcome]:
        """Collect; leave out whatever another process did first."""
        done: list[Outcome | None] = []
        for path, model, version in self._lost():
            back = _restored(model, version)
            done.append(_attempt(back, partial(own.restore, path, model, version)))
        done += [self._collect(decision, own) for decision in self._decisions()]
        for link in inventory.dangling_keys(self.store):
            done.append(_attempt(_key(self.store, link), partial(own.remove_key, link)))
        done += [self._collect_staged(item, own) for item in self._staged()]
        return [outcome for outcome in done if outcome is not None]

    def _decisions(self) -> list[Decision]:
        return decide(inventory.versions(self.store), self.policy, self.now)

    def _judge(self, decision: Decision) -> Outcome:
        version = decision.version
        reader = None if decision.stays else self.readers.of(version.folder)
        return Outcome(
            "version",
            version.label,
            "keep" if decision.stays or reader else "remove",
            reader or decision.reason,
            freed=0 if decision.stays or reader else freed(version.folder),
            age=self.now - version.published,
        )

    def _collect(self, decision: Decision, own: Trash) -> Outcome | None:
        outcome, version = self._judge(decision), decision.version
        if outcome.action == "keep":
            return outcome
        fresh = inventory.survey(self.store, version.model, version.version)
        if fresh.current or fresh.touched != version.touched:
            return replace(outcome, action="keep", reason="changed meanwhile", freed=0)
        return _attempt(
            outcome,
            partial(
                own.remove_version,
                version.folder,
                version.model,
                version.version,
                self.readers.of,
            ),
        )

    def _lost(self) -> list[tuple[Path, str, str]]:
        """Find ``current`` versions that a killed collector had taken away."""
        return [
            (path, model, version)
            for path, model, version in left_behind(self.store, self.scratch)
            if inventory.current_target(self.store, model) == version
            and not self.store.version_folder(model, version).exists()
        ]

    def _staged(self) -> list[Staged]:
        return [item for item in inventory.staged(self.store) if item.path != self.scratch]

    def _judge_staged(self, item: Staged) -> Outcome:
        age = self.now - item.changed
        limit = max(self.policy.min_age, STAGING_MIN_AGE)
        if age < limit:
            why = f"changed {sizes.age(age)} ago, less than {sizes.age(limit)}: may be in progress"
        else:
            why = self.readers.of(item.path) or ""
        name = f".staging/{item.path.name}"
        if why:
            return Outcome("staging", name, "keep", why, age=age)
        reason = f"left behind {sizes.age(age)} ago"
        return Outcome("staging", name, "remove", reason, freed=freed(item.path), age=age)

    def _collect_staged(self, item: Staged, own: Trash) -> Outcome | None:
        outcome = self._judge_staged(item)
        if outcome.action == "keep":
            return outcome
        if last_change(item.path) != item.changed:
            return replace(outcome, action="keep", reason="changed meanwhile", freed=0)
        return _attempt(outcome, partial(self._doom_staged, item.path, own))

    def _doom_staged(self, folder: Path, own: Trash) -> None:
        for path, model, version in left_behind(self.store, self.scratch):
            if path.parent == folder:  # it may have become current meanwhile
                own.remove_version(path, model, version, self.readers.of)
        own.doom(folder)


def _restored(model: str, version: str) -> Outcome:
    reason = "current, but a collection that was killed had taken it away"
    return Outcome("version", f"{model}@{version}", "restore", reason)


def _key(store: Store, link: Path) -> Outcome:
    name = link.relative_to(store.root).as_posix()
    return Outcome("key", name, "remove", "leads to no version")


def _attempt(outcome: Outcome, act: Callable[[], str | None]) -> Outcome | None:
    """Run ``act`` and return the outcome; None if another process was faster.

    ``act`` returns the reason if it had to leave things as they were.
    """
    try:
        hindrance = act()
    except FileNotFoundError:
        return None
    except OSError as error:
        return replace(outcome, action="fail", reason=error.strerror or str(error), freed=0)
    return (
        outcome if hindrance is None else replace(outcome, action="keep", reason=hindrance, freed=0)
    )
