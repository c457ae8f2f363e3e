"""A store that pods share: who waits, who hits, and which version a source leads to."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from storage_init.fetch import preparing, shared_store
from storage_init.fetch.shared_store import SharedStore, source_key
from storage_init.format.package import Source
from storage_init.store import lease as leases
from storage_init.store.layout import FETCHED, LEASES, discard
from storage_init.store.lease import LeaseWatcher
from tests.unit.storage_init.fakes import publish_fake

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.store.layout import Store

SOURCE = Source(uri="hf://owner/model", revision="a" * 40)
POLL = 0.2


@dataclass
class Clock:
    """A clock that only ``sleep`` moves; at ``due`` it closes ``happening``."""

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


@pytest.mark.parametrize("start", [0, POLL / 3, POLL * 0.95])
def test_a_waiting_pod_hits_at_most_one_poll_after_the_store_is_filled(
    start: float, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, key = publish_fake(store), source_key(SOURCE)
    held = LeaseWatcher(store.root / LEASES, key).try_acquire()
    assert held is not None
    with ExitStack() as winner:
        winner.enter_context(held.held())
        # The winner makes the link before it releases the lease.
        winner.callback(link, store, version, key)
        clock = Clock(now=start, due=7.77, happening=winner)
        for module in (shared_store, leases):
            monkeypatch.setattr(module, "time", clock)
        got = SharedStore(store, poll_seconds=POLL).obtain(SOURCE)
    assert (got.folder, got.hit) == (version, True)
    assert 0 <= clock.now - clock.due <= POLL
    assert set(clock.sleeps) == {POLL}


def test_only_an_image_without_torch_uses_a_version_made_from_a_graph(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, exported = publish_fake(store), publish_fake(store, key="b" * 64)

    def found(weights: str) -> Path | None:
        monkeypatch.setattr(preparing, "usable_weights", lambda: weights)
        return SharedStore(store).find(SOURCE)

    link(store, graph, source_key(SOURCE, "onnx"))
    assert (found("safetensors"), found("onnx")) == (None, graph)
    link(store, exported, source_key(SOURCE))
    assert (found("safetensors"), found("onnx")) == (exported, exported)


def test_a_uri_leads_to_its_last_version_until_that_is_gone(store: Store) -> None:
    version = publish_fake(store)
    shared = SharedStore(store)
    assert shared.recall(SOURCE.uri) is None
    link(store, version, source_key(SOURCE))
    shared.remember(SOURCE.uri, SOURCE)
    for seconds in (0, 60):
        known = SharedStore(store, recheck_seconds=seconds).recall(SOURCE.uri)
        assert known is not None
        assert (known.source, known.folder, known.is_fresh) == (SOURCE, version, bool(seconds))
    discard(store, version)
    assert shared.recall(SOURCE.uri) is None
