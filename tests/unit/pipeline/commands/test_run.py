"""``run``: what may be said on the command line, and what it ends with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.__main__ import main
from pipeline.commands import run as local_commands
from pipeline.commands.local import PipelineError, Prepared
from pipeline.commands.summary import summarize
from pipeline.preparation.progress import Finished
from pipeline.recipe.recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path

STEPS = [Finished("export", "7.3", "1.2 GB", "opset 18")]


def test_the_summary_has_a_row_a_variant_and_a_row_a_step(prepared_classifier: Path) -> None:
    text = summarize(prepared_classifier, STEPS)
    header, fp32, int8 = text.splitlines()[:3]
    assert header.split()[:2] == ["variant", "size"]
    assert fp32.startswith("fp32")
    assert int8.startswith("int8")
    assert "label agreement" in int8
    assert any(line.split() == ["export", "7.3", "s", "1.2", "GB"] for line in text.splitlines())
    assert text.splitlines()[-1].startswith(f"classifier, version {prepared_classifier.name}")
    assert "peak memory" not in summarize(prepared_classifier)


def test_flags_go_before_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared_classifier: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("max_length: 32\nvariants: [fp32, int8]")
    got: list[tuple[Recipe, bool]] = []

    def run(*arguments: object, force: bool) -> Prepared:
        got.append((arguments[3], force))  # type: ignore[arg-type]
        return Prepared(prepared_classifier)

    monkeypatch.setattr(local_commands, "run", run)
    flags = ["--source=s", "--name=m", f"--store={tmp_path}", f"--recipe={recipe}"]
    assert main(["run", *flags, "--variants=int8", "--task=text-classification", "--force"]) == 0
    assert got == [(Recipe(max_length=32, variants=("int8",), task="text-classification"), True)]


@pytest.mark.parametrize(
    ("flags", "problem"),
    [(["--variants=int9"], "int9"), (["--task=translation"], "translation")],
)
def test_a_flag_that_no_recipe_has_is_one_line(
    flags: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--source=s", "--name=m", f"--store={tmp_path}", *flags]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: recipe")
    assert problem in said
    assert said.count("\n") == 1


def test_of_a_list_one_that_fails_does_not_stop_the_others(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepared_classifier: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    models = tmp_path / "models.yaml"
    models.write_text("\n".join(f"- {{source: s, name: {name}}}" for name in ("a", "b", "c")))

    def run(_: str, name: str, *__: object, force: bool) -> Prepared:
        if name == "b":
            raise PipelineError("[2/6] export   no fast tokenizer")
        return Prepared(prepared_classifier)

    monkeypatch.setattr(local_commands, "run", run)
    assert main(["run", f"--models={models}", f"--store={tmp_path}"]) == 1
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split()[:2] for row in rows] == [["a", "done"], ["b", "failed"], ["c", "done"]]
    assert "no fast tokenizer" in rows[1]


def test_a_dry_run_says_and_does_nothing(
    classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    flags = [f"--source={classifier.as_uri()}", "--name=m", f"--store={store}"]
    assert main(["run", *flags, "--dry-run"]) == 0
    assert "to do        snapshot, export" in capsys.readouterr().out
    assert not store.exists()


@pytest.mark.parametrize(
    "flags", [["--source=s"], ["--models=m.yaml", "--source=s"], ["--models=m.yaml", "--name=n"]]
)
def test_one_model_or_a_list_of_them(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", f"--store={tmp_path}", *flags])
    assert stopped.value.code == 2
    assert "--models" in capsys.readouterr().err


def test_an_interrupted_run_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*_: object, force: bool) -> Prepared:
        raise KeyboardInterrupt

    monkeypatch.setattr(local_commands, "run", run)
    assert main(["run", "--source=s", "--name=m", f"--store={tmp_path}"]) == 130
    assert "goes on from what is done" in capsys.readouterr().err
