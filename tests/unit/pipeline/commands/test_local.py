"""A local run: the hit that needs no KFP, and what is shown of KFP's output."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.commands import local as runs
from pipeline.recipe.recipe import Recipe
from storage_init.base.errors import SourceError, WarmstartError
from storage_init.store.layout import Store

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
    assert done.stderr.startswith("✓ already prepared from this source and recipe\n")


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
    monkeypatch.setattr(runs, "_run_on_kfp", lambda *_: [])
    with pytest.raises(runs.PipelineError, match="changed while it was being prepared"):
        runs.run(
            classifier.as_uri(), "m", Store(tmp_path / "store"), Recipe(), progress=io.StringIO()
        )


def test_the_interpreters_path_is_put_back_after_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    executable, path = sys.executable, os.environ["PATH"]
    with pytest.raises(RuntimeError), runs._kfp_as_it_should_be():
        assert sys.executable == "python3"
        raise RuntimeError
    assert (sys.executable, os.environ["PATH"]) == (executable, path)


def test_what_kfp_raises_is_told_in_the_steps_own_words(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")

    def fail(*_: object) -> None:
        raise runs.PipelineError("[2/6] export   no tokenizer")

    monkeypatch.setattr(runs, "_run_on_kfp", fail)
    with pytest.raises(runs.PipelineError, match="no tokenizer"):
        runs.run(classifier.as_uri(), "m", store, Recipe(), progress=io.StringIO())
    assert list((store.root / ".staging").iterdir()) == []


def test_an_interrupted_run_leaves_what_it_has_done(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")

    def stop(request: dict[str, str], *_: object) -> None:
        (Path(request["workspace"]) / "done").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "_run_on_kfp", stop)
    with pytest.raises(KeyboardInterrupt):
        runs.run(classifier.as_uri(), "m", store, Recipe(), progress=io.StringIO())
    (left,) = (store.root / ".staging").iterdir()
    assert (left / "done").exists()


def test_sigterm_stops_a_run_as_ctrl_c_does() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), runs._stopped_like_ctrl_c():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    assert signal.getsignal(signal.SIGTERM) == before
