"""A local run: the hit that needs no KFP, and what is shown of KFP's output."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline import run as runs
from pipeline.recipe import Recipe
from storage_init.errors import SourceError, WarmstartError
from storage_init.store import Store

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = ("kfp", "torch", "transformers", "onnx", "onnxruntime", "optimum")


@pytest.mark.parametrize("command", ["run", "package"])
def test_a_hit_imports_nothing_heavy(
    command: str, prepared_classifier: Path, classifier: Path
) -> None:
    # In a process of its own: this one has imported everything already.
    code = f"""
import sys
from pipeline.__main__ import main
code = main(sys.argv[1:])
print(sorted({{name.partition(".")[0] for name in sys.modules}} & set({HEAVY!r})))
sys.exit(code)
"""
    store = prepared_classifier.parents[3]
    flags = [f"--source={classifier.as_uri()}", "--name=classifier", f"--store={store}"]
    done = subprocess.run(
        [sys.executable, "-c", code, command, *flags], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(prepared_classifier), "[]"]
    assert done.stderr == "✓ already prepared from this source and recipe\n"


def test_a_source_that_is_not_there_fails_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no folder"):
        runs.run(
            (tmp_path / "absent").as_uri(),
            "m",
            Store(tmp_path / "store"),
            Recipe(),
            progress=io.StringIO(),
        )
    assert not (tmp_path / "store").exists()


def test_a_name_that_cannot_be_published_fails_before_anything_starts(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: object) -> None:
        raise AssertionError("started KFP")

    monkeypatch.setattr(runs, "_run_on_kfp", start)
    with pytest.raises(WarmstartError, match="no spaces"):
        runs.run(
            classifier.as_uri(),
            "no spaces",
            Store(tmp_path / "store"),
            Recipe(),
            progress=io.StringIO(),
        )


def test_a_source_that_changed_meanwhile_is_not_passed_off_as_prepared(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_run_on_kfp", lambda *_: None)
    with pytest.raises(runs.PipelineError, match="changed while it was being prepared"):
        runs.run(
            classifier.as_uri(), "m", Store(tmp_path / "store"), Recipe(), progress=io.StringIO()
        )


def console(text: str) -> tuple[runs._Console, str]:
    """A console that got ``text`` in pieces, and what it passed on."""
    progress = io.StringIO()
    filtered = runs._Console(progress)
    for start in range(0, len(text), 7):
        filtered.write(text[start : start + 7])
    return filtered, progress.getvalue()


def test_the_console_passes_the_steps_own_lines_on_and_nothing_else() -> None:
    _, shown = console(
        "12:00 - INFO - Executing task 'export'\n"
        "    ▸ [2/6] export   …\n"
        "TracerWarning: noise\n"
        "    ✓ [2/6] export      1.2 s  opset 18\n"
    )
    assert shown == "▸ [2/6] export   …\n✓ [2/6] export      1.2 s  opset 18\n"


def test_the_console_keeps_the_failure_for_the_error_and_everything_for_the_transcript() -> None:
    filtered, shown = console(
        "noise\n▸ [2/6] export   …\n✗ [2/6] export   no tokenizer\nTraceback\n"
    )
    assert filtered.failure == "[2/6] export   no tokenizer"
    assert "✗" not in shown
    assert filtered.transcript.splitlines()[0] == "noise"
    assert filtered.transcript.splitlines()[-1] == "Traceback"


def test_the_interpreters_path_is_put_back_after_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    executable, path = sys.executable, os.environ["PATH"]
    with pytest.raises(RuntimeError), runs._kfp_as_it_should_be():
        assert sys.executable == "python3"
        raise RuntimeError
    assert (sys.executable, os.environ["PATH"]) == (executable, path)
