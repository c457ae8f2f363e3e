"""One collection: what stays, what goes, and doing it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from storage_init.base import sizes as text
from storage_init.base.files import freed, last_change
from storage_init.store import inventory
from storage_init.store.gc.retention import Decision, Policy, decide
from storage_init.store.gc.trash import left_behind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storage_init.store.gc.readers import Readers
    from storage_init.store.gc.trash import Trash
    from storage_init.store.inventory import Staged
    from storage_init.store.layout import Store

# However small --min-age is: what is younger may be a publication or a collection in progress.
STAGING_MIN_AGE = 3600.0


@dataclass(frozen=True)
class Outcome:
    """What is to be done with one thing, or was, and why.

    ``keep`` it, ``remove`` it, ``restore`` it to its place, or ``fail``: it should have gone but
    could not. ``freed``: bytes of disk that its removal gives back; ``age`` in seconds.
    """

    kind: Literal["version", "staging", "key"]
    name: str
    action: Literal["keep", "remove", "restore", "fail"]
    reason: str
    freed: int = 0
    age: float | None = None


@dataclass(frozen=True)
class Collector:
    """``now`` is the store's clock; ``scratch`` is our own folder in ``.staging``, if any."""

    store: Store
    policy: Policy
    now: float
    readers: Readers
    scratch: Path | None

    def plan(self) -> list[Outcome]:
        """What ``run`` would do; nothing is changed."""
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

    def run(self, trash: Trash) -> list[Outcome]:
        """Do it; what another process has done meanwhile is left out."""
        done: list[Outcome | None] = []
        for path, model, version in self._lost():
            back = _restored(model, version)
            done.append(_attempt(back, partial(trash.restore, path, model, version)))
        done += [self._collect(decision, trash) for decision in self._decisions()]
        for link in inventory.dangling_keys(self.store):
            done.append(_attempt(_key(self.store, link), partial(trash.remove_key, link)))
        done += [self._collect_staged(item, trash) for item in self._staged()]
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

    def _collect(self, decision: Decision, trash: Trash) -> Outcome | None:
        outcome, version = self._judge(decision), decision.version
        if outcome.action == "keep":
            return outcome
        fresh = inventory.survey(self.store, version.model, version.version)
        if fresh.current or fresh.touched != version.touched:
            return replace(outcome, action="keep", reason="changed meanwhile", freed=0)
        return _attempt(
            outcome,
            partial(
                trash.remove_version,
                version.folder,
                version.model,
                version.version,
                self.readers.of,
            ),
        )

    def _lost(self) -> list[tuple[Path, str, str]]:
        """Versions that a killed collector had taken away, and that are ``current``."""
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
            why = f"changed {text.age(age)} ago, less than {text.age(limit)}: may be in progress"
        else:
            why = self.readers.of(item.path) or ""
        name = f".staging/{item.path.name}"
        if why:
            return Outcome("staging", name, "keep", why, age=age)
        reason = f"left behind {text.age(age)} ago"
        return Outcome("staging", name, "remove", reason, freed=freed(item.path), age=age)

    def _collect_staged(self, item: Staged, trash: Trash) -> Outcome | None:
        outcome = self._judge_staged(item)
        if outcome.action == "keep":
            return outcome
        if last_change(item.path) != item.changed:
            return replace(outcome, action="keep", reason="changed meanwhile", freed=0)
        return _attempt(outcome, partial(self._doom_staged, item.path, trash))

    def _doom_staged(self, folder: Path, trash: Trash) -> None:
        for path, model, version in left_behind(self.store, self.scratch):
            if path.parent == folder:  # may have become current while it lay there
                trash.remove_version(path, model, version, self.readers.of)
        trash.doom(folder)


def _restored(model: str, version: str) -> Outcome:
    reason = "current, but a collection that was killed had taken it away"
    return Outcome("version", f"{model}@{version}", "restore", reason)


def _key(store: Store, link: Path) -> Outcome:
    name = link.relative_to(store.root).as_posix()
    return Outcome("key", name, "remove", "leads to no version")


def _attempt(outcome: Outcome, act: Callable[[], str | None]) -> Outcome | None:
    """The outcome after ``act``, which says why it had to leave things as they were, if it had."""
    try:
        hindrance = act()
    except FileNotFoundError:
        return None
    except OSError as error:
        return replace(outcome, action="fail", reason=error.strerror or str(error), freed=0)
    return (
        outcome if hindrance is None else replace(outcome, action="keep", reason=hindrance, freed=0)
    )
