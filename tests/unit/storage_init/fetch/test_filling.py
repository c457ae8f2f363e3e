"""Waiting for the one that fetches, and keys, by a clock of its own."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from storage_init.fetch import filling as caches
from storage_init.fetch.filling import FETCHED, LEASES, Cache, cache_key
from storage_init.format.package import Source
from storage_init.store import lease as leases
from storage_init.store.lease import LeaseWatcher
from tests.unit.storage_init.fakes import publish_fake

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.store.layout import Store

SOURCE = Source(uri="hf://owner/model", revision="a" * 40)
POLL = 0.2
LOSERS = 15


@dataclass
class Clock:
    """Time that passes when somebody sleeps, and at ``due`` what is to happen then."""

    now: float
    due: float
    happening: ExitStack
    sleeps: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        if self.now < self.due <= self.now + seconds:
            self.happening.close()
        self.now += seconds


def link(store: Store, version: Path, key: str) -> None:
    (store.root / FETCHED).mkdir(exist_ok=True)
    (store.root / FETCHED / key).symlink_to(version)


@pytest.mark.parametrize("loser", range(LOSERS))
def test_a_loser_hits_at_most_one_poll_after_the_winner_is_done(
    loser: int, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, key = publish_fake(store), cache_key(SOURCE)
    held = LeaseWatcher(store.root / LEASES, key).try_acquire()
    assert held is not None
    with ExitStack() as winner:
        winner.enter_context(held.held())
        # As the winner does it: first the link, then the release.
        winner.callback(link, store, version, key)
        # The losers start spread over one interval, long before the winner is done.
        clock = Clock(now=loser * POLL / LOSERS, due=7.77, happening=winner)
        for module in (caches, leases):
            monkeypatch.setattr(module, "time", clock)
        got = Cache(store, poll_seconds=POLL).obtain(SOURCE)
    assert got.folder == version
    assert got.hit
    assert 0 <= clock.now - clock.due <= POLL
    assert set(clock.sleeps) == {POLL}


def test_what_an_onnx_graph_was_made_into_is_no_hit_for_who_can_export(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = publish_fake(store)
    link(store, version, cache_key(SOURCE, "onnx"))
    monkeypatch.setattr(caches, "_usable_weights", lambda: "safetensors")
    assert Cache(store).find(SOURCE) is None
    monkeypatch.setattr(caches, "_usable_weights", lambda: "onnx")
    assert Cache(store).find(SOURCE) == version


def test_what_safetensors_were_made_into_is_a_hit_for_all(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish_fake(store)
    other = publish_fake(store, key="b" * 64)
    link(store, first, cache_key(SOURCE))
    link(store, other, cache_key(SOURCE, "onnx"))
    for weights in ("safetensors", "onnx"):
        monkeypatch.setattr(caches, "_usable_weights", lambda weights=weights: weights)
        assert Cache(store).find(SOURCE) == first


def test_a_version_is_known_by_its_uri_until_it_is_gone(store: Store) -> None:
    version = publish_fake(store)
    cache = Cache(store, recheck_seconds=0)
    assert cache.recall(SOURCE.uri) is None
    link(store, version, cache_key(SOURCE))
    cache.remember(SOURCE.uri, SOURCE)
    known = cache.recall(SOURCE.uri)
    assert known is not None
    assert (known.source, known.folder, known.is_fresh) == (SOURCE, version, False)
    asked_just_now = Cache(store, recheck_seconds=60).recall(SOURCE.uri)
    assert asked_just_now is not None
    assert asked_just_now.is_fresh
    cache.forget(version)
    assert cache.recall(SOURCE.uri) is None
