"""The page of model types says what the code does, for the transformers that is installed."""

from __future__ import annotations

import re

from docs.generate import model_types, tables
from tests.architectures.catalogue import ARCHITECTURES
from tests.support.machine.documents import ROOT


def test_the_page_of_model_types_is_up_to_date() -> None:
    written = (ROOT / "docs" / model_types.PAGE).read_text()
    assert tables.filled(written, model_types.reference()) == written, "run `make schema`"


def test_every_type_is_supported_or_refused_or_not_tried() -> None:
    page = model_types.reference()
    supported, refused, left = (
        set(re.findall(r"`([^`]+)`", part)) for part in page.split("###")[1:]
    )
    assert supported | refused <= {each.model_type for each in ARCHITECTURES}
    assert refused == {*model_types.REFUSED}
    assert not supported & refused
    assert not left & (supported | refused)
    assert {"llama", "bart"} <= left
