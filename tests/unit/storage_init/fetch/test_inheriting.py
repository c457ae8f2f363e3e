"""Folders of fetches: each holder of a lease has its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage_init.fetch.inheriting import changed, own_folder
from tests.unit.storage_init.fakes import read_files, write_files

if TYPE_CHECKING:
    from storage_init.store.layout import Store

KEY, OTHER = "a" * 64, "b" * 64
PART, NOTE, WHOLE = "files/.fetch/x/.parts/0", "files/.fetch/x/.parts/0.json", "files/.fetch/x/w"
FILES = {PART: b"half", NOTE: b"2", WHOLE: b"whole", "files/.fetch/x/.cache/a.lock": b""}


def test_a_successor_has_the_files_but_none_that_its_predecessor_may_write_to(
    store: Store,
) -> None:
    first = own_folder(store, KEY)
    write_files(first, FILES)
    whole = (first / WHOLE).stat().st_ino
    with (first / PART).open("ab") as still_open:
        second = own_folder(store, KEY)
        still_open.write(b" and more")
    assert not first.exists()
    assert read_files(second) == {PART: b"half", NOTE: b"2", WHOLE: b"whole"}
    assert (second / WHOLE).stat().st_ino == whole
    assert not own_folder(store, OTHER).exists()
    assert changed(store, KEY) > changed(store, OTHER) == 0
