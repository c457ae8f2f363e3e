"""Decide which versions stay, and why, from an inventory alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from storage_init.base import sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from storage_init.store.inventory import Version


@dataclass(frozen=True)
class Policy:
    """Keep the newest ``keep`` versions of a model, and those younger than ``min_age`` seconds.

    ``current`` and what a service has pinned always stay. If ``current`` is not whole, the newest
    whole version stays too.
    """

    keep: int = 2
    min_age: float = 86400.0


@dataclass(frozen=True)
class Decision:
    """A version and whether it stays; nobody has looked for its readers yet."""

    version: Version
    stays: bool
    reason: str


def decide(versions: Iterable[Version], policy: Policy, now: float) -> list[Decision]:
    """Return a decision for each version; ``versions`` are ordered as by ``inventory.versions``."""
    return [
        decision
        for _, group in groupby(versions, key=lambda version: version.model)
        for decision in _decide_model(list(group), policy, now)
    ]


def _decide_model(versions: list[Version], policy: Policy, now: float) -> Iterator[Decision]:
    # Broken versions do not count among the newest.
    ranked = [version for version in versions if version.whole]
    served = any(version.current for version in ranked)
    for version in versions:
        newer = ranked.index(version) if version.whole else None
        reason = _reason_to_stay(version, newer, policy, now)
        if reason is None and newer == 0 and not served:
            reason = "the newest whole version of a model without a current one"
        yield Decision(version, reason is not None, reason or _reason_to_go(version, policy, now))


def _reason_to_stay(version: Version, newer: int | None, policy: Policy, now: float) -> str | None:
    if version.current:
        return "current"
    if version.pins:
        return f"pinned by {', '.join(version.pins)}"
    if version.finding.foreign:
        return "its format is unknown to this build"
    if newer is not None and newer < policy.keep:
        return f"among the newest {policy.keep}"
    if now - version.touched < policy.min_age:
        limit = sizes.age(policy.min_age)
        return f"changed {sizes.age(now - version.touched)} ago, less than {limit}"
    return None


def _reason_to_go(version: Version, policy: Policy, now: float) -> str:
    if not version.whole:
        return f"broken: {version.finding.problems[0]}"
    return f"{sizes.age(now - version.touched)} old, not among the newest {policy.keep}"
