"""Pods on two nodes share a store on NFS, whose clients remember names that are missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.machine.nfs import run_on_nfs

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

# An NFS client believes for so long that a name is missing (acdirmin).
NEGATIVE_SECONDS = 30
WAITING = """
import json, os, shutil, threading, time
from pathlib import Path

from storage_init.fetch.shared_store import SharedStore, source_key
from storage_init.format.package import Source
from storage_init.format.verify import verify
from storage_init.store.layout import FETCHED, LEASES, Store, swap_link
from storage_init.store.lease import LeaseWatcher
from storage_init.store.publish import adopt
from tests.unit.storage_init.fakes import publish_fake

source = Source(uri="hf://acme/bert", revision="c" * 40)
mine, theirs = Store(Path("/mnt/a/store")), Store(Path("/mnt/b/store"))
made = publish_fake(Store(Path("/mnt/other")))
for name in (FETCHED, LEASES, ".staging"):
    (mine.root / name).mkdir(parents=True)
lease = LeaseWatcher(mine.root / LEASES, source_key(source)).try_acquire()
ended = []

def wait():
    found = SharedStore(theirs, stale_seconds=300).obtain(source)
    verify(found.folder)
    ended.append((time.monotonic(), found.hit))

waiter = threading.Thread(target=wait)
with lease.held():
    waiter.start()
    time.sleep(3)
    with mine.staging() as staged:
        shutil.copytree(made, staged / "m")
        folder = adopt(mine, staged / "m", "shelf+" + "0" * 16)
    link = mine.root / FETCHED / source_key(source)
    swap_link(mine, link, "../" + str(folder.relative_to(mine.root)))
    published = time.monotonic()
    waiter.join(100)
((seen, hit),) = ended or [(time.monotonic(), None)]
print(json.dumps({"seconds": seen - published, "hit": hit}))
"""


def test_a_waiter_sees_soon_what_another_node_published(tmp_path: Path) -> None:
    said = run_on_nfs(WAITING, tmp_path)
    found = json.loads(said.splitlines()[-1])
    assert found["hit"] is True, said
    assert found["seconds"] < NEGATIVE_SECONDS / 2
