"""Decoding arbitrary bytes gives a package or a PackageError."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from storage_init.base.errors import PackageError
from storage_init.format import codec
from storage_init.format.package import Package
from tests.unit.storage_init.fakes import entries, fake_package

VALID = fake_package(entries())
CONTENT = codec.encode(VALID)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@st.composite
def spliced_bytes(draw: st.DrawFn) -> bytes:
    """Return the valid bytes with a part replaced."""
    start = draw(st.integers(0, len(CONTENT)))
    end = draw(st.integers(start, min(start + 40, len(CONTENT))))
    return CONTENT[:start] + draw(st.binary(max_size=20)) + CONTENT[end:]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | JSON.map(json.dumps).map(str.encode) | spliced_bytes())
def test_decoding_any_bytes_gives_a_package_or_a_package_error(content: bytes) -> None:
    try:
        decoded = codec.decode(content)
    except PackageError:
        return
    assert isinstance(decoded, Package)
