"""A prepared model's bill of materials."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from storage_init.format.reading import read_package
from storage_init.sbom import bill_of_materials, main
from tests.unit.storage_init.fakes import publish_fake

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from storage_init.store.layout import Store


def test_the_bill_names_the_model_its_source_and_every_file(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = publish_fake(store)
    package, version = read_package(folder)
    assert main([str(folder)]) == 0
    bill = json.loads(capsys.readouterr().out)
    assert bill == bill_of_materials(package, version)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    model = bill["metadata"]["component"]
    assert (model["name"], model["version"]) == (package.name, version)
    assert model["externalReferences"][0]["url"] == package.source.uri
    listed = {part["name"]: part["hashes"][0]["content"] for part in model["components"]}
    assert listed == {entry.path: entry.sha256 for entry in package.files}


def test_a_folder_without_a_model_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 1
    assert "package.json" in capsys.readouterr().err
