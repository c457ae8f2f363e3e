"""Collect what a store no longer needs. Safe beside publishers, readers and other collectors."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from storage_init.base.errors import StoreError
from storage_init.store import counters, inventory
from storage_init.store.gc import trash
from storage_init.store.gc.collector import Collector, Outcome
from storage_init.store.gc.readers import readers_of

if TYPE_CHECKING:
    from storage_init.store.gc.retention import Policy
    from storage_init.store.layout import Store


def collect(store: Store, policy: Policy, *, dry_run: bool = False) -> list[Outcome]:
    """Remove what the policy does not keep and nobody reads; an outcome for each thing looked at.

    A dry run removes nothing. Where the store can be written it, too, tries out a file in
    ``.staging``, for the store's clock; where not, this machine's clock has to do.

    Raises:
        StoreError: there is no store, or it cannot be written.
    """
    inventory.open_store(store)
    with ExitStack() as stack:
        try:
            own = stack.enter_context(trash.trash(store))
        except StoreError:
            if not dry_run:
                raise
            now, scratch = time.time(), None
        else:
            now, scratch = own.now(), own.folder
        collector = Collector(store, policy, now, readers_of(store.root, scratch), scratch)
        if dry_run:
            return collector.plan()
        outcomes = collector.run(own)
        counters.fold(store, now)
        return outcomes
