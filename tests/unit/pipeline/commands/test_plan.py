"""What a dry run says, and that it writes nothing."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from pipeline.commands.plan import Plan, PlanError, plan
from pipeline.preparation.progress import Lines
from pipeline.preparation.runner import Preparation
from pipeline.preparation.work_folder import work_folder
from pipeline.recipe.recipe import Recipe
from pipeline.workspace.workspace import Workspace
from storage_init import sources
from storage_init.format.package import Source
from storage_init.store.layout import Store
from tests.support.servers.hub import hub

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers.hub import Hub


def plan_for(uri: str, store: Path, name: str = "m", *, force: bool = False) -> Plan:
    return plan(sources.resolve(uri), name, Store(store), Recipe(), force=force)


def use(server: Hub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point huggingface-hub, which read its environment when it was imported, at a hub."""
    for name, value in server.environment(home).items():
        monkeypatch.setenv(name, value)
    template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)


def test_a_hit_needs_nothing(prepared_classifier: Path, classifier: Path) -> None:
    store = prepared_classifier.parents[3]
    found = plan_for(classifier.as_uri(), store, "classifier")
    assert (found.hit, found.disk_bytes) == (prepared_classifier, 0)
    assert f"prepared already, nothing to do: {prepared_classifier}" in str(found)
    assert plan_for(classifier.as_uri(), store, "classifier", force=True).hit is None


def test_a_miss_says_what_to_do_and_what_it_needs_and_writes_nothing(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub({"owner/name": classifier}) as server:
        use(server, tmp_path / "hf", monkeypatch)
        found = plan_for("hf://owner/name", tmp_path / "store")
        assert not {name for name in server.downloads() if "safetensors" in name}
    needed = sum(
        path.stat().st_size
        for path in classifier.iterdir()
        if path.suffix in (".json", ".txt", ".safetensors")
    )
    assert found.download_bytes == needed
    assert found.disk_bytes > 3 * needed > found.kept_bytes > needed
    assert "to do        snapshot, export, optimize, quantize, evaluate, publish" in str(found)
    assert not (tmp_path / "store").exists()


def test_without_a_folder_for_temporary_files_it_says_what_to_set(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub({"owner/name": classifier}) as server:
        use(server, tmp_path / "hf", monkeypatch)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
        with pytest.raises(
            PlanError, match=r"no folder for temporary files can be written: .*TMPDIR"
        ):
            plan_for("hf://owner/name", tmp_path / "store")


def test_the_finished_steps_of_an_interrupted_run_are_known(
    classifier: Path, tmp_path: Path
) -> None:
    store, source = Store(tmp_path / "store"), sources.resolve(classifier.as_uri())
    with (
        pytest.raises(KeyboardInterrupt),
        work_folder(store, "m", Recipe().key(source)) as folder,
    ):
        Preparation(Workspace(folder), Recipe(), Lines(io.StringIO())).snapshot(source)
        raise KeyboardInterrupt
    found = plan_for(classifier.as_uri(), store.root)
    assert found.done == ("snapshot",)
    assert found.download_bytes == 0


def test_too_little_disk_is_said() -> None:
    source = Source(uri="hf://owner/name", revision="a" * 40)
    short = Plan(source, "m", None, (), 100, 1_000_000, 100, free_bytes=999)
    assert not short.fits
    assert "too little" in str(short)
