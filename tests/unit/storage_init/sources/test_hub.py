"""``hf://`` URIs without a hub; ``tests/integration/sources`` has one."""

from __future__ import annotations

import sys

import pytest

from storage_init import sources
from storage_init.base.errors import SourceError
from storage_init.format.package import Source

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("separator", ["@", ":"])
def test_a_commit_is_its_own_revision(separator: str) -> None:
    uri = f"hf://owner/name{separator}{COMMIT}"
    assert sources.resolve(uri) == Source(uri=uri, revision=COMMIT)


@pytest.mark.parametrize("rest", ["", "name", "a/b/c", "a/b@", "a/b@a b", "a/b?x", "a/b@c\n"])
def test_another_form_is_refused(rest: str) -> None:
    with pytest.raises(SourceError) as caught:
        sources.resolve(f"hf://{rest}")
    assert str(caught.value) == f"hf://{rest} is not of the form hf://owner/name[@revision]"


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for library, uri in (("huggingface_hub", "hf://owner/name"), ("kserve_storage", "gs://abc/x")):
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(SourceError, match=r"install warmstart\[storage-init\]"):
            sources.resolve(uri)
