"""Preparing: what this image can prepare, and what comes back from the pipeline's process.

The process is a real one; where its behaviour matters more than its work, a folder named
``pipeline`` in the current directory is run in the product's place.
"""

from __future__ import annotations

import logging
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from storage_init import sources
from storage_init.base.errors import SourceError
from storage_init.base.files import list_files
from storage_init.fetch import preparing
from storage_init.fetch.preparing import (
    PreparationError,
    bring,
    can_prepare,
    prepare,
    usable_weights,
)
from storage_init.format.package import Source
from storage_init.store.layout import Store
from tests.unit.storage_init.fakes import write_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storage_init.sources.transfer.selection import Weights

SOURCE = Source(uri="hf://owner/name", revision="a" * 40)


@pytest.fixture
def raw(classifier: Path, tmp_path: Path) -> Path:
    """A repository with a graph; what the graph holds is not looked at here."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(classifier / name, folder / name)
    (folder / "model.onnx").touch()
    return folder


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: Path) -> Callable[[str], Path]:
    """Prepare ``raw`` with this code run as ``python -m pipeline``."""

    def run(code: str, weights: Weights = "safetensors") -> Path:
        (tmp_path / "pipeline").mkdir()
        # A package, which is found before the real one; a folder without this file would not be.
        (tmp_path / "pipeline" / "__init__.py").touch()
        (tmp_path / "pipeline" / "__main__.py").write_text(f"import os, sys\n{code}\n")
        monkeypatch.chdir(tmp_path)
        return prepare(SOURCE, raw, "m", Store(tmp_path / "store"), weights)

    return run


def test_a_repository_with_a_graph_can_be_prepared(raw: Path) -> None:
    assert can_prepare(raw) is None


def test_pytorch_weights_need_torch(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "TORCH_TOOLS", ("pipeline", "no_torch_here"))
    why = can_prepare(classifier)
    assert why is not None
    assert "weights need no_torch_here: use the warmstart/pipeline image, or" in why
    with pytest.raises(SourceError, match=r"hf://owner/name is not a prepared model, and .* need"):
        prepare(SOURCE, classifier, "m", Store(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_an_image_that_cannot_export_takes_the_graph_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    files = {"config.json": b"{}", "model.safetensors": b"weights", "onnx/model.onnx": b"graph"}
    source = sources.resolve(write_files(tmp_path / "both", files).as_uri())
    assert usable_weights() == "safetensors"
    monkeypatch.setattr(preparing, "TORCH_TOOLS", ("pipeline", "no_torch_here"))
    assert usable_weights() == "onnx"
    assert bring(source, tmp_path / "d", usable_weights())
    assert list_files(tmp_path / "d") == {"config.json", "onnx/model.onnx"}
    (record,) = [r for r in caplog.records if "own ONNX graph" in r.getMessage()]
    assert record.fields["why"] == "exporting its safetensors needs no_torch_here"  # type: ignore[attr-defined]


def test_an_image_without_the_tools_says_what_to_install(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "TOOLS", ("pipeline", "no_onnx_here", "onnx"))
    assert can_prepare(raw) == "preparing it needs no_onnx_here: install warmstart[storage-init]"


@pytest.mark.parametrize(
    ("absent", "reason"),
    [
        ("model.onnx", "neither safetensors weights nor an ONNX graph"),
        ("tokenizer.json", "no fast tokenizer"),
        ("config.json", "no config.json"),
    ],
)
def test_a_folder_that_is_no_whole_model_is_named_with_what_it_lacks(
    raw: Path, absent: str, reason: str
) -> None:
    (raw / absent).unlink()
    why = can_prepare(raw)
    assert why is not None
    assert reason in why


def test_the_command_gets_the_source_at_its_revision_with_the_files(
    stand_in: Callable[[str], Path], tmp_path: Path, raw: Path
) -> None:
    got = stand_in("open('arguments', 'w').write('\\n'.join(sys.argv[1:]))\nprint('/store/v')")
    assert str(got) == "/store/v"
    assert (tmp_path / "arguments").read_text().splitlines() == [
        "run",
        "--source=hf://owner/name",
        "--name=m",
        f"--store={tmp_path / 'store'}",
        "--fetched",
        "a" * 40,
        str(raw),
    ]


def test_a_graph_in_the_place_of_safetensors_is_told_to_the_command(
    stand_in: Callable[..., Path], tmp_path: Path
) -> None:
    stand_in("open('arguments', 'w').write('\\n'.join(sys.argv[1:]))\nprint('/store/v')", "onnx")
    assert "--weights=onnx" in (tmp_path / "arguments").read_text().splitlines()


def test_progress_is_logged_line_by_line_and_noise_is_not(
    stand_in: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stand_in(
        "print('▸ [1/6] snapshot …', file=sys.stderr)\n"
        "print('Warning: noise', file=sys.stderr)\n"
        "print('✓ [1/6] snapshot    0.2 s  bert', file=sys.stderr)\n"
        "print('noise')\n"
        "print('/store/v')"
    )
    said = [record.getMessage() for record in caplog.records]
    assert said == ["[1/6] snapshot …", "[1/6] snapshot    0.2 s  bert", "prepared"]
    assert caplog.records[-1].fields["version"] == "v"  # type: ignore[attr-defined]


def test_much_output_on_both_pipes_does_not_stop_the_process(
    stand_in: Callable[[str], Path],
) -> None:
    noise = "for _ in range(2000):\n print('x' * 99)\n print('y' * 99, file=sys.stderr)\n"
    assert stand_in(f"{noise}print('/store/v')").name == "v"


def test_the_marks_get_through_whatever_the_locale(
    stand_in: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("PYTHONCOERCECLOCALE", "0")
    monkeypatch.setenv("PYTHONUTF8", "0")
    caplog.set_level(logging.INFO)
    stand_in("print('✓ [1/6] snapshot', file=sys.stderr)\nprint('/store/v')")
    assert caplog.records[0].getMessage() == "[1/6] snapshot"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "print('error: [5/6] evaluate no variant is close', file=sys.stderr)\nsys.exit(1)",
            r"^\[5/6\] evaluate no variant is close$",
        ),
        ("raise ZeroDivisionError('why')", "ended with status 1: .*ZeroDivisionError: why$"),
        ("os.kill(os.getpid(), 9)", "was killed by signal 9, out of memory\\?: give the container"),
        ("os.kill(os.getpid(), 11)", "was killed by signal 11: give"),
    ],
)
def test_a_failure_is_one_sentence(
    stand_in: Callable[[str], Path], code: str, message: str
) -> None:
    with pytest.raises(PreparationError, match=message) as failed:
        stand_in(code)
    assert "\n" not in str(failed.value)


def test_a_process_that_is_stopped_stops_the_pipelines(
    stand_in: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(preparing, "event", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stand_in(
            "import time\n"
            "try:\n"
            " print('✓ [1/6] snapshot', file=sys.stderr, flush=True)\n"
            " time.sleep(60)\n"
            "except KeyboardInterrupt:\n"
            " open('cleaned-up', 'w').close()\n"
        )
    assert (tmp_path / "cleaned-up").exists()


def test_nothing_of_the_pipeline_is_imported() -> None:
    code = (
        "import sys, storage_init.fetch.preparing; print({'pipeline', 'onnx'} & set(sys.modules))"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
