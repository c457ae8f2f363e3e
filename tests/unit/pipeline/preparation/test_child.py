"""A step in a process of its own: how it fails. What it makes, the integration tests check."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pipeline.preparation.child import ChildError, run_in_child
from pipeline.recipe.recipe import Recipe
from pipeline.workspace.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("step", "executable", "message"),
    [
        ("export", None, "config.json"),
        ("no_step", None, "failed unexpectedly: ModuleNotFoundError: No module named 'pipeline.s"),
        ("export", "#!/bin/sh\nexit 3", "its process ended with status 3"),
        ("export", "#!/bin/sh\nkill -9 $$", "its process ended with signal 9, out of memory?"),
    ],
)
def test_a_failure_of_the_process_is_that_of_the_step(
    step: str,
    executable: str | None,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if executable:
        program = tmp_path / "python"
        program.write_text(executable)
        program.chmod(0o755)
        monkeypatch.setattr("sys.executable", str(program))
    workspace = Workspace(tmp_path / "work")
    workspace.source.mkdir(parents=True)
    reader, writer = os.pipe()
    try:
        with pytest.raises(ChildError) as failed:
            run_in_child(step, workspace, Recipe(), reader)
    finally:
        os.close(reader)
        os.close(writer)
    assert message in str(failed.value)
