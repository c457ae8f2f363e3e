"""Records of steps hold for finished steps and for their recipe alone."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from pipeline.recipe.recipe import Recipe
from pipeline.workspace import records
from pipeline.workspace.records import StepRecord

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

DONE = StepRecord("export", "opset 18", 1.5, 1_000_000)


def test_a_record_holds_for_its_step_and_recipe_alone(tmp_path: Path) -> None:
    assert records.read(tmp_path, "export", Recipe()) is None
    records.write(tmp_path, DONE, Recipe())
    found: Any = records.read(tmp_path, "export", Recipe())
    assert (found.detail, found.seconds, found.peak_bytes) == ("opset 18", 1.5, 1_000_000)
    assert records.read(tmp_path, "export", Recipe(variants=("fp32",))) is None
    assert records.read(tmp_path, "optimize", Recipe()) is None
    (tmp_path / "steps" / "export.json").write_bytes(b'{"step": "exp')
    assert records.read(tmp_path, "export", Recipe()) is None, "a record that was cut off"


def test_everything_a_step_wrote_is_on_disk_before_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "model.onnx").write_bytes(b"weights")
    synced: list[Path] = []

    def note(path: Path) -> None:
        assert not (tmp_path / "steps" / "export.json").exists() or path.name == "steps"
        synced.append(path.relative_to(tmp_path))

    monkeypatch.setattr(records, "fsync", note)
    records.write(tmp_path, DONE, Recipe())
    # The folders, too: without them, a file that was synced is gone after a crash.
    names = ["exported", "model.onnx", "steps", "", "export.draft", "steps"]
    assert [path.name for path in synced] == names


def test_a_step_waits_for_one_that_a_killed_run_left_behind(tmp_path: Path) -> None:
    entered = threading.Event()

    def wait_and_enter() -> None:
        with records.one_at_a_time(tmp_path):
            entered.set()

    with records.one_at_a_time(tmp_path):
        thread = threading.Thread(target=wait_and_enter)
        thread.start()
        assert not entered.wait(0.2)
    assert entered.wait(5)
    thread.join()
