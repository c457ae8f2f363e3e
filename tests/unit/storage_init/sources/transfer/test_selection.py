"""Which files of a repository are fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storage_init.base.errors import SourceError
from storage_init.format.package import DIGEST_FILE, PACKAGE_FILE, SIGNATURE_FILE
from storage_init.sources.transfer.selection import (
    descriptions,
    is_substitute,
    listed,
    needed,
    select,
)
from tests.unit.storage_init.fakes import FILES

if TYPE_CHECKING:
    from pathlib import Path

DESCRIPTIONS = ["README.md", "config.json", "tokenizer.json", "vocab.txt"]
# As the Hub lists sentence-transformers/all-MiniLM-L6-v2, shortened.
SENTENCE_TRANSFORMERS = [
    *(".gitattributes", "1_Pooling/config.json", "config_sentence_transformers.json"),
    *("data_config.json", "model.safetensors", "modules.json", "onnx/model.onnx"),
    *("onnx/model_quint8_avx2.onnx", "openvino/openvino_model.bin", "pytorch_model.bin"),
    *("openvino/openvino_model.xml", "rust_model.ot", "tf_model.h5", "train_script.py"),
    *("sentencepiece.bpe.model", *DESCRIPTIONS),
]


def test_safetensors_and_descriptions_are_chosen_and_no_copies_or_code() -> None:
    assert select(SENTENCE_TRANSFORMERS, "x") == sorted(
        [
            *("1_Pooling/config.json", "config_sentence_transformers.json", "data_config.json"),
            *("model.safetensors", "modules.json", "sentencepiece.bpe.model", *DESCRIPTIONS),
        ]
    )


def test_sharded_weights_come_with_their_index() -> None:
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    files = [*shards, "model.safetensors.index.json", "pytorch_model-00001-of-00002.bin"]
    assert select(files, "x") == sorted([*shards, "model.safetensors.index.json"])


def test_the_weights_of_a_module_in_a_numbered_folder_are_chosen() -> None:
    files = ["0_Transformer/model.safetensors", "0_Transformer/config.json", "modules.json"]
    assert select(files, "x") == sorted(files)


def test_the_weights_of_a_later_module_are_no_model() -> None:
    with pytest.raises(SourceError, match="only pickled weights"):
        select(["pytorch_model.bin", "2_Dense/model.safetensors", "modules.json"], "x")


@pytest.mark.parametrize("weights", ["model.safetensors", "model.onnx"])
def test_the_weights_of_a_module_come_with_those_of_the_model(weights: str) -> None:
    files = ["2_Dense/config.json", "2_Dense/model.safetensors", "modules.json", weights]
    assert select([*files, "2_Dense/pytorch_model.bin"], "x") == sorted(files)
    assert not is_substitute(files, select(files, "x"))


@pytest.mark.parametrize("data", ["onnx/model.onnx_data", "onnx/model.onnx.data"])
def test_without_safetensors_graphs_are_chosen_with_their_weights(data: str) -> None:
    files = ["config.json", "onnx/model.onnx", data, "pytorch_model.bin"]
    assert select(files, "x") == sorted(["config.json", "onnx/model.onnx", data])


DESCRIBED = [*("config_sentence_transformers.json", "data_config.json", "modules.json")]


def test_where_a_graph_is_wanted_it_and_its_weights_stand_in_for_safetensors() -> None:
    data = "onnx/model.onnx_data"
    chosen = select([*SENTENCE_TRANSFORMERS, data, "onnx/model_fp16.onnx"], "x", "onnx")
    assert {path for path in chosen if path.startswith("onnx/")} == {"onnx/model.onnx", data}
    assert "model.safetensors" not in chosen
    assert set(DESCRIBED) <= set(chosen)
    assert is_substitute(SENTENCE_TRANSFORMERS, chosen)


@pytest.mark.parametrize("graph", ["onnx/model_quantized.onnx", "openvino/model.onnx"])
def test_safetensors_are_kept_where_no_graph_is_ready(graph: str) -> None:
    files = ["config.json", "model.safetensors", graph]
    chosen = select(files, "x", "onnx")
    assert chosen == ["config.json", "model.safetensors"]
    assert not is_substitute(files, chosen)


def test_without_safetensors_it_makes_no_difference_what_is_wanted() -> None:
    files = ["config.json", "onnx/model.onnx", "onnx/model_fp16.onnx"]
    assert select(files, "x", "onnx") == select(files, "x") == files
    assert not is_substitute(files, files)


def test_a_prepared_model_is_no_substitute_for_what_lies_beside_it() -> None:
    files = [PACKAGE_FILE, DIGEST_FILE, *FILES, "model.safetensors"]
    assert not is_substitute(files, FILES)


def test_of_a_prepared_model_only_what_it_lists_is_chosen(published: Path) -> None:
    published.joinpath(".gitattributes").write_text("*.data filter=lfs")
    assert sorted(listed(published)) == sorted([*FILES, PACKAGE_FILE, DIGEST_FILE])


def test_the_signature_of_a_prepared_model_is_chosen_with_its_description(published: Path) -> None:
    (published / SIGNATURE_FILE).write_bytes(b"{}")
    paths = [*FILES, PACKAGE_FILE, DIGEST_FILE, SIGNATURE_FILE, ".gitattributes"]
    assert descriptions(paths) == [PACKAGE_FILE, DIGEST_FILE, SIGNATURE_FILE]
    assert set(needed(paths, published, "x")) == {*paths} - {".gitattributes"}


def test_a_file_of_that_name_makes_no_prepared_model_of_a_raw_one() -> None:
    paths = ["config.json", "model.safetensors", SIGNATURE_FILE]
    assert descriptions(paths) == []
    assert select(paths, "x") == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "a.ckpt", "deep/er/w.pkl"])
def test_a_repository_of_pickles_is_refused_with_one_named(name: str) -> None:
    with pytest.raises(SourceError) as caught:
        select([*DESCRIPTIONS, name], "hf://owner/model")
    assert str(caught.value) == (
        f"hf://owner/model has only pickled weights ({name}), which are refused; "
        "needed are *.safetensors or *.onnx"
    )


@pytest.mark.parametrize("files", [[], DESCRIPTIONS])
def test_a_repository_without_weights_is_refused(files: list[str]) -> None:
    with pytest.raises(SourceError, match="hf://owner/model has no weights; needed are"):
        select(files, "hf://owner/model")


@pytest.mark.parametrize("folder", [".cache/huggingface/", "a/.hidden/", ".fetch/"])
def test_nothing_hidden_is_chosen(folder: str) -> None:
    files = ["config.json", "model.onnx", f"{folder}model.onnx", ".config.json"]
    assert select(files, "x") == ["config.json", "model.onnx"]


PICKLES = [
    *("pytorch_model.bin", "0_Transformer/pytorch_model.bin", "training_args.bin"),
    *("optimizer.pt", "rng_state.pth", "openvino/model.bin"),
]


def test_pickles_are_chosen_where_they_are_allowed_and_nothing_else_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WARMSTART_ALLOW_PICKLES", "true")
    files = [*DESCRIPTIONS, *PICKLES]
    assert select(files, "x") == sorted([*DESCRIPTIONS, *PICKLES[:2]])
    assert select([*files, "model.safetensors"], "x") == sorted(
        [*DESCRIPTIONS, "model.safetensors"]
    )
    assert select([*files, "a/b.onnx"], "x") == sorted([*DESCRIPTIONS, "a/b.onnx"])


@pytest.mark.parametrize("value", ["", "false", "no", "0"])
def test_pickles_are_refused_where_they_are_not_allowed(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARMSTART_ALLOW_PICKLES", value)
    with pytest.raises(SourceError, match="which are refused"):
        select([*DESCRIPTIONS, *PICKLES], "x")
