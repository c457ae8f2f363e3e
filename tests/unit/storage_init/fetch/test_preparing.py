"""Preparation: what an image can prepare, and what the pipeline's process returns.

Tests of the process put a package named ``pipeline`` into the current directory, which Python finds
before the real one.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from storage_init import sources
from storage_init.base.errors import SourceError
from storage_init.base.files import list_files
from storage_init.fetch import preparing
from storage_init.fetch.preparing import (
    PreparationError,
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
    """A repository with an empty graph."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(classifier / name, folder / name)
    (folder / "model.onnx").touch()
    return folder


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: Path) -> Callable[[str], Path]:
    """Prepare ``raw`` with this code as ``python -m pipeline``."""

    def run(code: str, weights: Weights = "safetensors") -> Path:
        (tmp_path / "pipeline").mkdir()
        (tmp_path / "pipeline" / "__init__.py").touch()
        (tmp_path / "pipeline" / "__main__.py").write_text(f"import os, sys\n{code}\n")
        monkeypatch.chdir(tmp_path)
        return prepare(SOURCE, raw, "m", Store(tmp_path / "store"), weights)

    return run


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
    assert preparing.fetch(source, tmp_path / "d", lambda *_: None) == "onnx"
    assert list_files(tmp_path / "d") == {"config.json", "onnx/model.onnx"}
    (record,) = [r for r in caplog.records if "own ONNX graph" in r.getMessage()]
    assert record.fields["why"] == "exporting its safetensors needs no_torch_here"  # type: ignore[attr-defined]


def test_an_image_without_the_tools_says_what_to_install(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert can_prepare(raw) is None
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
def test_a_missing_file_is_named(raw: Path, absent: str, reason: str) -> None:
    (raw / absent).unlink()
    why = can_prepare(raw)
    assert why is not None
    assert reason in why


@pytest.mark.parametrize("weights", ["safetensors", "onnx"])
def test_the_command_gets_the_source_and_its_files(
    weights: Weights, stand_in: Callable[..., Path], tmp_path: Path, raw: Path
) -> None:
    write = "open('arguments', 'w').write('\\n'.join(sys.argv[1:]))\nprint('/store/v')"
    assert str(stand_in(write, weights)) == "/store/v"
    assert (tmp_path / "arguments").read_text().splitlines() == [
        *("run", "--source=hf://owner/name", "--name=m", f"--store={tmp_path / 'store'}"),
        *(["--weights=onnx"] if weights == "onnx" else []),
        *("--fetched", "a" * 40, str(raw)),
    ]


def test_progress_is_logged_in_any_locale_and_noise_is_not(
    stand_in: Callable[[str], Path],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}.items():
        monkeypatch.setenv(name, value)
    caplog.set_level(logging.INFO)
    stand_in(
        "print('▸ [1/6] snapshot …', file=sys.stderr)\n"
        # More than a pipe holds, on both.
        "for _ in range(2000):\n print('x' * 99)\n print('y' * 99, file=sys.stderr)\n"
        "print('✓ [1/6] snapshot    0.2 s  bert', file=sys.stderr)\n"
        "print('/store/v')"
    )
    said = [record.getMessage() for record in caplog.records]
    assert said == ["[1/6] snapshot …", "[1/6] snapshot    0.2 s  bert", "prepared"]
    assert caplog.records[-1].fields["version"] == "v"  # type: ignore[attr-defined]


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


def test_an_interrupt_stops_the_pipelines_process(
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


def test_preparation_imports_nothing_of_the_pipeline() -> None:
    code = "import sys, storage_init.fetch.preparing; print({'pipeline', 'onnx'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
