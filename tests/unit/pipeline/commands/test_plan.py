"""What a dry run says, and that it writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.commands.plan import Plan, plan
from pipeline.preparation.runner import take
from pipeline.preparation.work_folder import work_folder
from pipeline.recipe.recipe import Recipe
from pipeline.workspace.workspace import Workspace
from storage_init import sources
from storage_init.base.errors import WarmstartError
from storage_init.format.package import Source
from storage_init.store.layout import Store
from tests.support.servers.hub import hub

if TYPE_CHECKING:
    from pathlib import Path


def test_a_hit_needs_nothing(prepared_classifier: Path, classifier: Path) -> None:
    store = Store(prepared_classifier.parents[3])
    found = plan(classifier.as_uri(), "classifier", store, Recipe())
    assert (found.hit, found.disk_bytes) == (prepared_classifier, 0)
    assert f"prepared already, nothing to do: {prepared_classifier}" in str(found)
    forced = plan(classifier.as_uri(), "classifier", store, Recipe(), force=True)
    assert forced.hit is None


def test_a_miss_says_what_is_to_do_and_what_it_needs_and_writes_nothing(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub({"owner/name": classifier}) as server:
        for name, value in server.environment(tmp_path / "hf").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
        found = plan("hf://owner/name", "m", Store(tmp_path / "store"), Recipe())
        assert server.downloads() == set()
    needed = sum(
        path.stat().st_size
        for path in classifier.iterdir()
        if path.suffix in (".json", ".txt", ".safetensors")
    )
    assert found.download_bytes == needed
    assert found.disk_bytes > 3 * needed
    assert "to do        snapshot, export, optimize, quantize, evaluate, publish" in str(found)
    assert not (tmp_path / "store").exists()


def test_what_an_interrupted_run_has_done_is_known(classifier: Path, tmp_path: Path) -> None:
    store, source = Store(tmp_path / "store"), sources.resolve(classifier.as_uri())
    with (
        pytest.raises(KeyboardInterrupt),
        work_folder(store, "m", Recipe().key(source)) as folder,
    ):
        take(source, Workspace(folder), Recipe())
        raise KeyboardInterrupt
    found = plan(classifier.as_uri(), "m", store, Recipe())
    assert found.done == ("snapshot",)
    assert found.download_bytes == 0


def test_too_little_disk_is_said() -> None:
    source = Source(uri="hf://owner/name", revision="a" * 40)
    short = Plan(source, "m", None, (), 100, 1_000_000, 100, free_bytes=999)
    assert not short.fits
    assert "too little" in str(short)


def test_a_wrong_name_or_source_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WarmstartError, match="no name for a model"):
        plan("hf://owner/name", "no name", Store(tmp_path), Recipe())
    with pytest.raises(WarmstartError, match="there is no folder"):
        plan("file:///no/such/folder", "m", Store(tmp_path), Recipe())
