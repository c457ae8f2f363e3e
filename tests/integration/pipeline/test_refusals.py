"""Sources as people really have them, each broken in one way: one sentence, in the first step."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.__main__ import main
from storage_init.base.logs import DONE, RUNNING
from storage_init.store.layout import Store
from tests.support.models.models import make_embedder, source
from tests.support.servers.hub import hub

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore::Warning")]

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 96612\n"
WEIGHTS = "model.safetensors"
Change = Callable[[Path], None]


def write(path: Path, **keys: Any) -> None:
    """Change keys of a JSON file."""
    stated = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(stated | keys))


def config(**keys: Any) -> Change:
    return lambda folder: write(folder / "config.json", **keys)


def content(name: str, text: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(text.encode("latin-1"))

    return change


def without(*names: str) -> Change:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def cut_off(folder: Path) -> None:
    weights = folder / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1000])


def without_a_shard(folder: Path) -> None:
    in_shards(folder)
    sorted(folder.glob("*-of-*"))[1].unlink()


def without_the_index(folder: Path) -> None:
    in_shards(folder)
    (folder / f"{WEIGHTS}.index.json").unlink()


def in_shards(folder: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(folder)
    (folder / WEIGHTS).unlink()
    model.save_pretrained(folder, max_shard_size="40KB")


def with_long_texts(folder: Path) -> None:
    write(folder / "config.json", max_position_embeddings=1_000_000)
    write(folder / "tokenizer_config.json", model_max_length=1_000_000)


def adapter(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "adapter_model.safetensors")
    (folder / "config.json").unlink()
    write(folder / "adapter_config.json", peft_type="LORA", base_model_name_or_path="owner/base")


def in_checkpoints(folder: Path) -> None:
    for name in ("checkpoint-500", "checkpoint-1000"):
        (folder / name).mkdir()
        for path in [path for path in folder.iterdir() if path.is_file()]:
            shutil.copyfile(path, folder / name / path.name)
    (folder / WEIGHTS).unlink()


def linked_to_nothing(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).symlink_to("../../blobs/0123")


def as_setfit(folder: Path) -> None:
    (folder / "model_head.pkl").write_bytes(b"a pickle")


def as_colbert(folder: Path) -> None:
    write(folder / "config_sentence_transformers.json", query_prefix="[Q] ", query_length=32)
    module = {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"}
    (folder / "modules.json").write_text(json.dumps([module]))


def unchanged(_: Path) -> None:
    """Leave a source whole."""


class Command:
    """``python -m pipeline run`` of a copy of a model that a test has changed."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.model = folder / "model"
        self.store = folder / "store"
        self._capsys = capsys

    def take(self, model: Path, change: Change) -> None:
        shutil.copytree(model, self.model)
        change(self.model)
        self._capsys.readouterr()  # what transformers said of the change

    def refused(self, *flags: str) -> str:
        """The only line of the refusal, after a look at what is left of the attempt."""
        command = ["run", f"--source={self.model}", "--name=m", f"--store={self.store}", *flags]
        assert main(command) == 1
        said = self._capsys.readouterr().err.splitlines()
        (message,) = [line for line in said if not line.startswith((RUNNING, DONE))]
        assert "unexpectedly" not in message
        assert ".staging" not in message
        assert not self.store.exists() or Store(self.store).names() == []
        return message.removeprefix("error: ")


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, capsys)


NUMBERED = 'it must be like {"0": "negative", "1": "positive"}'
AGAIN = "copy or download it again"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (content(WEIGHTS, POINTER), f"{WEIGHTS} is a pointer of Git LFS, not the file itself"),
        (content("tokenizer.json", POINTER), "tokenizer.json is a pointer of Git LFS"),
        (content(WEIGHTS, "<html>404</html>"), f"{WEIGHTS} is not a whole safetensors file: "),
        (content(WEIGHTS, ""), f"{WEIGHTS} is empty: {AGAIN}"),
        (cut_off, f"{WEIGHTS} has 95612 bytes, but its header describes 96612: {AGAIN}"),
        (without_a_shard, ".safetensors is missing, which model.safetensors.index.json names"),
        (without_the_index, "model.safetensors.index.json is missing, without which"),
        (content("config.json", '{"a": "é"}'), "config.json is not valid: "),
        (content("config.json", "[]"), "config.json is not valid: "),
        (without("config.json"), "has no config.json: it is not a Hugging Face model"),
        (without("tokenizer.json", "vocab.txt"), "has no fast tokenizer (tokenizer.json)"),
        (content("tokenizer.json", "{"), "tokenizer.json is not valid: "),
        (config(id2label=["a", "b", "c"]), NUMBERED),
        (config(id2label={"a": 0, "b": 1, "c": 2}), NUMBERED),
        (config(id2label={"0": "a", "1": "b", "5": "c"}), NUMBERED),
        (
            config(id2label={str(n): f"label {n}" for n in range(5)}),
            "config.json states 5 labels, but the weights of the head (classifier.weight) are for "
            "3: correct its id2label",
        ),
        (
            # Four heads, the square of 1,000,000, and 4 bytes.
            with_long_texts,
            "takes texts of 1000000 tokens, whose attention in 4 heads needs at least 16.0 TB of",
        ),
        (config(model_type="bert6"), "states the model_type bert6, which transformers"),
        (config(model_type=""), "config.json states no model_type"),
        (config(architectures=["HF_ColBERT"]), "a multi-vector model, as ColBERT is"),
        (as_colbert, "modules.json states pylate.models.Dense.Dense: a multi-vector model"),
        (as_setfit, "is a SetFit model (model_head.pkl): its head is a pickle"),
        (
            lambda folder: write(folder / "config_sentence_transformers.json", model_type="Sparse"),
            "states model_type 'Sparse', which is not supported",
        ),
        (
            lambda folder: write(
                folder / "config_sentence_transformers.json", model_type="SparseEncoder"
            ),
            "states SparseEncoder: a sparse encoder, as SPLADE is, which is not supported",
        ),
    ],
)
def test_a_broken_source_is_refused_in_the_first_step_by_a_sentence(
    change: Change, said: str, classifier: Path, command: Command
) -> None:
    command.take(classifier, change)
    message = command.refused()
    assert said in message
    assert message.startswith(("[1/6] snapshot", command.model.as_uri()))
    assert command.model.as_uri() in message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (adapter, "{uri} holds a PEFT adapter (adapter_config.json), not a whole model: merge it"),
        (
            in_checkpoints,
            "{uri} has no weights itself, but in checkpoint-1000, checkpoint-500: name the folder",
        ),
        (linked_to_nothing, "{path}/model.safetensors is a link to ../../blobs/0123, which is not"),
    ],
)
def test_a_folder_without_weights_of_a_model_says_what_it_has(
    change: Change, said: str, classifier: Path, command: Command
) -> None:
    command.take(classifier, change)
    stated = said.format(uri=command.model.as_uri(), path=command.model)
    assert command.refused().startswith(stated)


def test_a_file_and_a_repositorys_bare_name_say_what_to_write(
    command: Command, classifier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.take(classifier, unchanged)
    for name, said in (
        (
            command.model / WEIGHTS,
            f"there is no folder {command.model}/{WEIGHTS}, but a file: name its folder",
        ),
        ("owner/name", "there is no folder owner/name here; a repository of the Hub is hf://owner"),
    ):
        assert main(["run", f"--source={name}", "--name=m", f"--store={command.store}"]) == 1
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("task", ["text-classification", "token-classification"])
def test_a_model_without_a_head_is_not_given_a_random_one(task: str, command: Command) -> None:
    command.take(source(make_embedder), unchanged)
    message = command.refused(f"--task={task}")
    assert message.startswith("[1/6] snapshot")
    assert f"has no weights for {task}, whose answers would be random" in message


def test_a_generating_reranker_is_told_apart_from_a_classifier(
    classifier: Path, command: Command
) -> None:
    command.take(classifier, config(architectures=["Qwen3ForCausalLM"]))
    message = command.refused("--task=text-ranking")
    assert "Qwen3ForCausalLM reads its score from the next token's logits" in message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (config(intermediate_size=48), r"layer.0.intermediate.dense.bias is \[64\] in the file"),
        (config(max_position_embeddings=128), r"\[64, 32\] in the file, and \[128, 32\] by the"),
    ],
)
def test_weights_that_do_not_fit_the_configuration_are_named(
    change: Change, said: str, classifier: Path, command: Command
) -> None:
    command.take(classifier, change)
    message = command.refused()
    assert re.search(
        f"the weights do not fit {command.model.as_uri()}/config.json: .*{said}", message
    )


def test_a_dense_layer_of_another_shape_is_refused_in_the_first_step(command: Command) -> None:
    command.take(
        source(make_embedder, dense=((16, "Tanh"),)),
        lambda folder: write(next(folder.glob("*_Dense")) / "config.json", out_features=24),
    )
    message = command.refused()
    assert message.startswith("[1/6] snapshot")
    assert "model.safetensors has a linear.weight of [16, 32], and " in message
    assert "config.json states [24, 32]: take both from the same version of the model" in message


def test_weights_that_are_no_numbers_are_refused_before_the_evaluation(
    classifier: Path, command: Command
) -> None:
    import numpy as np
    from safetensors.numpy import load_file, save_file

    def spoil(folder: Path) -> None:
        weights = load_file(folder / WEIGHTS)
        weights["classifier.bias"][:] = np.nan
        save_file(weights, folder / WEIGHTS, {"format": "pt"})

    command.take(classifier, spoil)
    message = command.refused()
    assert message.startswith("[2/6] export")
    assert "the model's weights give answers that are not finite numbers" in message


def test_a_repository_is_refused_by_its_settings_before_its_weights_are_downloaded(
    classifier: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(classifier, tmp_path / "model")
    write(folder / "tokenizer_config.json", marvellous=1)
    with hub({"owner/name": folder}) as server:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pipeline", "run", "--source=hf://owner/name"),
                *("--name=m", f"--store={tmp_path / 'store'}"),
            ],
            capture_output=True,
            text=True,
            check=False,
            env=server.environment(tmp_path / "hf"),
        )
        assert "tokenizer_config.json" in server.downloads()
        assert WEIGHTS not in server.downloads()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "error: [1/6] snapshot hf://owner/name/tokenizer_config.json states marvellous, which is "
        "not known here: prepare it all the same with --accept-unknown marvellous, which leaves it "
        "out"
    )


def test_a_dry_run_refuses_what_the_run_would(
    classifier: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    command.take(classifier, cut_off)
    assert command.refused("--dry-run").endswith(AGAIN)
    assert not command.store.exists()
