"""Places: what a URI names, whatever its revision and its signature are."""

from __future__ import annotations

import pytest

from storage_init.base.places import ENDPOINTS, place_of, shelf_of
from storage_init.format.package import SHELF

SIGNED = "X-Amz-Date=1&X-Amz-Signature"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("hf://owner/name", "hf://owner/name@main"),
        ("hf://owner/name:main", "hf://owner/name@v1"),
        ("https://host/a?model=x", f"https://user:pw@host/a?model=x&{SIGNED}=2#sha256=ab"),
        (f"https://host/a?{SIGNED}=1", f"https://host/a?{SIGNED}=2"),
        ("https://host/a?sig=1&se=2&sv=3", "https://host/a?sig=4&se=5&sv=3"),
    ],
)
def test_revisions_and_signatures_do_not_make_another_place(one: str, other: str) -> None:
    assert place_of(one) == place_of(other)
    assert shelf_of(one) == shelf_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("hf://acme/bert", "s3://acme/bert"),
        ("s3://bucket/a@1", "s3://bucket/a@2"),
        ("https://host/a?model=x", "https://host/a?model=y"),
        ("https://host/a?se=1", "https://host/a?se=2"),
        ("file:///a/b", "file:///x/a/b"),
    ],
)
def test_other_places_have_other_shelves(one: str, other: str) -> None:
    assert shelf_of(one) != shelf_of(other)


@pytest.mark.parametrize("name", ENDPOINTS)
def test_each_endpoint_is_another_place(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = shelf_of("hf://owner/name"), shelf_of("file:///a")
    monkeypatch.setenv(name, "https://elsewhere")
    assert shelf_of("hf://owner/name") != before[0]
    assert shelf_of("file:///a") == before[1]


@pytest.mark.parametrize(
    "uri", ["hf://owner/name", "file:///", "https://h/é?x", "s3://b/" + "a" * 999]
)
def test_every_shelf_has_a_name_that_no_model_has(uri: str) -> None:
    assert SHELF.fullmatch(shelf_of(uri))
    assert len(shelf_of(uri)) < 128
