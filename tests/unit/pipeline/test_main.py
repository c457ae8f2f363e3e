"""The command line's refusals, and what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.__main__ import main
from storage_init.format.verify import verify


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        ([], "COMMAND"),
        (["run", "--source=file:///m", "--name=m"], "--store"),
        (["run", "--name=m", "--store=s"], "--source"),
        (["package", "--source=file:///m", "--name=m"], "--store"),
        (["package", "--source=a", "--name=m", "--store=s", "--fetched", "b"], "--fetched"),
        (["compile"], "--out"),
        (["compile", "--out=pipeline.json"], "pipeline.json does not end in .yaml"),
    ],
)
def test_a_missing_or_wrong_flag_is_named(
    argv: list[str],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WARMSTART_STORE", raising=False)
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err


def test_the_store_may_come_from_the_environment(
    prepared_classifier: Path,
    classifier: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WARMSTART_STORE", str(prepared_classifier.parents[3]))
    assert main(["run", f"--source={classifier.as_uri()}", "--name=classifier"]) == 0
    assert capsys.readouterr().out == f"{prepared_classifier}\n"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--source=ftp://host/m"], "error: ftp://host/m is not a source this build can read"),
        (
            ["--source=file:///m", "--recipe=absent.yaml"],
            "error: recipe absent.yaml cannot be read",
        ),
    ],
)
@pytest.mark.parametrize("command", ["run", "package"])
def test_an_error_is_one_line_and_status_1(
    command: str,
    flags: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([command, "--name=m", f"--store={tmp_path}", *flags]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(message)
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_package_prepares_files_that_are_here_as_the_source_they_came_from(
    classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("variants: [fp32]")
    flags = ["--source=hf://owner/name", "--name=m", f"--store={tmp_path / 'store'}"]
    files = ["--fetched", "a" * 40, str(classifier)]
    assert main(["package", *flags, *files, f"--recipe={recipe}"]) == 0
    folder = Path(capsys.readouterr().out.splitlines()[-1])
    package = verify(folder)
    assert (package.source.uri, package.source.revision) == ("hf://owner/name", "a" * 40)
    assert [variant.name for variant in package.variants] == ["fp32"]


def test_compile_writes_the_file_and_prints_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pipeline.yml"
    assert main(["compile", f"--out={out}", "--image=mine:1"]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert "image: mine:1" in out.read_text()
