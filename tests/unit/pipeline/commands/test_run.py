"""``run``: what may be said on the command line, and what it ends with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.__main__ import main
from pipeline.commands import run
from pipeline.commands.run import summarize
from pipeline.preparation.progress import StepError
from pipeline.preparation.runner import Prepared
from pipeline.recipe.recipe import Recipe
from pipeline.workspace.records import StepRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEAVY = ("kfp", "torch", "transformers", "onnx", "onnxruntime")


@pytest.fixture
def flags(classifier: Path, tmp_path: Path) -> list[str]:
    return [f"--source={classifier.as_uri()}", "--name=m", f"--store={tmp_path / 'store'}"]


def replace_prepare(monkeypatch: pytest.MonkeyPatch, stand_in: Callable[..., Prepared]) -> None:
    monkeypatch.setattr(run, "prepare", stand_in)


def test_a_hit_imports_nothing_heavy(prepared_classifier: Path, classifier: Path) -> None:
    # In a process of its own: this one has imported everything already.
    code = f"""
import sys
from pipeline.__main__ import main
code = main(sys.argv[1:])
print(sorted({{name.partition(".")[0] for name in sys.modules}} & set({HEAVY!r})))
sys.exit(code)
"""
    flags = [f"--source={classifier.as_uri()}", "--name=classifier"]
    done = subprocess.run(
        [sys.executable, "-c", code, "run", *flags],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"WARMSTART_STORE": str(prepared_classifier.parents[3])},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(prepared_classifier), "[]"]
    assert done.stderr.startswith("✓ already prepared from this source and recipe\n")


def test_the_summary_has_a_row_per_variant_and_per_step(prepared_classifier: Path) -> None:
    text = summarize(prepared_classifier, [StepRecord("export", "opset 18", 7.312, 1_200_000_000)])
    header, int8, fp32 = text.splitlines()[:3]
    assert header.split()[:2] == ["variant", "size"]
    assert fp32.startswith("fp32")
    assert int8.startswith("int8")
    assert "label agreement" in int8
    assert any(line.split() == ["export", "7.3", "s", "1.2", "GB"] for line in text.splitlines())
    assert text.splitlines()[-1].startswith(f"classifier, version {prepared_classifier.name}")
    assert "peak memory" not in summarize(prepared_classifier)


def test_flags_override_the_recipe(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared_classifier: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("max_length: 32\nvariants: [fp32, int8]")
    got: list[tuple[Recipe, bool]] = []

    def prepare(*arguments: Any, force: bool, **_: object) -> Prepared:
        got.append((arguments[3], force))
        return Prepared(prepared_classifier)

    replace_prepare(monkeypatch, prepare)
    chosen = ["--variants=int8", "--task=text-classification", "--weights=onnx", "--force"]
    assert main(["run", *flags, f"--recipe={recipe}", *chosen]) == 0
    stated = {"task": "text-classification", "weights": "onnx", "variants": ("int8",)}
    assert got == [(Recipe(max_length=32, **stated), True)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("flag", "problem"), [("--variants=int9", "int9"), ("--task=translation", "translation")]
)
def test_an_unknown_variant_or_task_is_one_line(
    flag: str, problem: str, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *flags, flag]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: recipe")
    assert problem in said
    assert said.count("\n") == 1


def test_in_a_list_one_failure_does_not_stop_the_others(
    classifier: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepared_classifier: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    models = tmp_path / "models.yaml"
    uri = classifier.as_uri()
    models.write_text("\n".join(f"- {{source: '{uri}', name: {name}}}" for name in "abc"))

    def prepare(_: object, name: str, *__: object, **___: object) -> Prepared:
        if name == "b":
            raise StepError("[2/6] export   no fast tokenizer")
        return Prepared(prepared_classifier)

    replace_prepare(monkeypatch, prepare)
    assert main(["run", f"--models={models}", f"--store={tmp_path}"]) == 1
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split()[:2] for row in rows] == [["a", "done"], ["b", "failed"], ["c", "done"]]
    assert "no fast tokenizer" in rows[1]


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_an_unforeseen_error_shows_its_traceback_only_to_a_developer(
    level: str,
    flags: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def prepare(*_: object, **__: object) -> Prepared:
        sys.stdout.write("a library's noise")
        raise StepError("[2/6] export   failed") from ZeroDivisionError("division")

    replace_prepare(monkeypatch, prepare)
    monkeypatch.setenv("WARMSTART_LOG_LEVEL", level)
    assert main(["run", *flags]) == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == "error: [2/6] export   failed"
    assert ("ZeroDivisionError" in captured.err) == ("noise" in captured.out) == (level == "DEBUG")


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_an_interrupted_run_says_how_to_continue(
    how: str,
    flags: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def prepare(*_: object, **__: object) -> Prepared:
        if how == "SIGTERM":
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGTERM)
    replace_prepare(monkeypatch, prepare)
    assert main(["run", *flags]) == 130
    assert "continues after the finished steps" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before
