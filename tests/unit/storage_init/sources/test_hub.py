"""``hf://`` URIs, as far as no hub is needed; the rest is in ``tests/integration/sources``."""

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


@pytest.mark.parametrize(
    "uri",
    [
        *("hf://", "hf://name", "hf://owner/", "hf:///name", "hf://a/b/c", "hf://owner/name/"),
        *("hf://owner/name@", "hf://owner/name@a b", "hf://owner/name@a@b", "hf://owner/name?x"),
        *(f"hf://owner/name@{COMMIT}\n", "hf:// owner/name"),
    ],
)
def test_another_form_is_refused_with_the_right_one(uri: str) -> None:
    with pytest.raises(SourceError) as caught:
        sources.resolve(uri)
    assert str(caught.value) == f"{uri} is not of the form hf://owner/name[@revision]"


def test_without_huggingface_hub_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(SourceError, match=r"install warmstart\[storage-init\]"):
        sources.resolve("hf://owner/name")
