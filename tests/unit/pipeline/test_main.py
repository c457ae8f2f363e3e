"""The command line's refusals, and what it prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        ([], "COMMAND"),
        (["run", "--source=file:///m", "--name=m"], "--store"),
        (["run", "--name=m", "--store=s"], "--source"),
        (["run", "--source=s", "--store=s"], "--models"),
        (["run", "--store=s", "--models=m.yaml", "--source=s"], "--models"),
        (["run", "--store=s", "--models=m.yaml", "--name=n"], "--models"),
        (["run", "--store=s", "--models=m.yaml", "--fetched", "a", "b"], "--models"),
        (["run", "--source=a", "--name=m", "--store=s", "--fetched", "b"], "--fetched"),
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


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--source=ftp://host/m"], "error: ftp://host/m is not a source this build can read"),
        (["--source=file:///no/m"], "error: file:///no/m: there is no folder /no/m"),
        (
            ["--source=file:///m", "--recipe=absent.yaml"],
            "error: recipe absent.yaml cannot be read",
        ),
    ],
)
def test_an_error_is_one_line_and_status_1(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    assert main(["run", "--name=m", f"--store={store}", *flags]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(message)
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not store.exists()


def test_compile_writes_the_file_and_prints_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "pipeline.yml"
    assert main(["compile", f"--out={out}", "--image=mine:1"]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert "image: mine:1" in out.read_text()
