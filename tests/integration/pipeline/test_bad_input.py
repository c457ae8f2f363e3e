"""What nobody can prepare: a clear message, status 1, nothing published and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline.__main__ import main
from storage_init.store.layout import Store
from tests.support.machine.disks import small_disk
from tests.support.servers.hub import hub

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


class Command:
    """``python -m pipeline run`` of a model that a test may spoil first."""

    def __init__(self, model: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.model = shutil.copytree(model, folder / "model")
        self.store = folder / "store"
        self._capsys = capsys

    def write(self, name: str, text: str) -> Path:
        path = self.model.parent / name
        path.write_text(text)
        return path

    def architecture(self, name: str) -> None:
        config = json.loads((self.model / "config.json").read_text())
        (self.model / "config.json").write_text(json.dumps(config | {"architectures": [name]}))

    def refused(self, *flags: str, source: str | None = None) -> str:
        """The error, after a look at what is left of the attempt."""
        uri = source or self.model.as_uri()
        command = ["run", f"--source={uri}", "--name=m", f"--store={self.store}", *flags]
        assert main(command) == 1
        assert_nothing_is_left(self.store)
        captured = self._capsys.readouterr()
        assert captured.out == ""
        return captured.err[captured.err.index("error: ") :]


def assert_nothing_is_left(folder: Path) -> None:
    if folder.exists():
        assert Store(folder).names() == []
        assert list(folder.glob(".staging/*")) == []


@pytest.fixture
def command(onnx_classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(onnx_classifier, tmp_path, capsys)


def test_no_such_folder(command: Command) -> None:
    message = command.refused(source="file:///no/such/folder")
    assert message == "error: file:///no/such/folder: there is no folder /no/such/folder\n"


def test_no_such_repository(classifier: Path, tmp_path: Path) -> None:
    with hub({"owner/name": classifier}) as server:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pipeline", "run", "--source=hf://owner/nane"),
                *("--name=m", f"--store={tmp_path / 'store'}"),
            ],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf")},
        )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: hf://owner/nane")
    assert_nothing_is_left(tmp_path / "store")


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("LlamaForCausalLM", "LlamaForCausalLM generates text; what is prepared and served here"),
        ("T5ForConditionalGeneration", "T5ForConditionalGeneration generates text"),
        ("ViTForImageClassification", "ViTForImageClassification is of no supported task"),
    ],
)
def test_a_model_of_another_kind(command: Command, architecture: str, message: str) -> None:
    command.architecture(architecture)
    refused = command.refused()
    assert refused.startswith("error: [1/6] snapshot")
    assert message in refused
    assert refused.count("\n") == 1


def test_no_fast_tokenizer(command: Command) -> None:
    for path in command.model.iterdir():
        if path.name not in ("config.json", "model.onnx"):
            path.unlink()
    refused = command.refused()
    assert "has no fast tokenizer (tokenizer.json)" in refused
    assert refused.count("\n") == 1


def test_a_recipe_with_typos(command: Command) -> None:
    text = "variants: [int8]\nint8:\n  gate:\n    min_cosin: 0.9\nmax_length: long\n"
    path = command.write("recipe.yaml", text)
    assert command.refused(f"--recipe={path}").splitlines() == [
        f"error: {path}:4: int8.gate.min_cosin: unknown field; did you mean min_cosine?",
        f"{path}:5: max_length: expected int | null, got str",
    ]


def test_nodes_that_the_graph_does_not_have(command: Command) -> None:
    path = command.write("recipe.yaml", 'int8: {exclude: ["*classifer*"]}')
    refused = command.refused(f"--recipe={path}")
    assert "int8.exclude: no node of the graph is called *classifer*; its products are" in refused
    assert "Attention_0_query" in refused


def test_evaluation_data_that_does_not_fit_is_refused_before_the_export(command: Command) -> None:
    path = command.write("mine.csv", "text,label\ngood,positive\nbad,angry\n")
    refused = command.refused(f"--eval-data={path}")
    assert refused.startswith("error: [1/6] snapshot")
    assert f"{path}:3: label: angry is none of the model's: negative, neutral, positive" in refused


def test_gates_that_cannot_be_met(command: Command) -> None:
    # No quantisation is this exact.
    path = command.write(
        "recipe.yaml", "variants: [int8]\nint8: {gate: {max_probability_difference: 0}}\n"
    )
    refused = command.refused(f"--recipe={path}")
    assert "no variant is close enough to the original (int8: probability difference 0." in refused
    assert "is above 0)" in refused


def test_too_little_disk_is_refused_before_the_export(command: Command) -> None:
    with small_disk(command.store, "8m"):
        refused = command.refused()
    assert refused.startswith("error: [2/6] export")
    assert "the preparation needs 1" in refused
    assert "free: make room or use a larger volume" in refused
