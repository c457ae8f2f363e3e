"""The files of a repository that a fetch needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storage_init.base.errors import SourceError
from storage_init.format.package import PACKAGE_FILE, SIGNATURE_FILE, SUMS_FILE
from storage_init.sources.transfer.selection import (
    descriptions,
    is_substitute,
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


@pytest.mark.parametrize(
    ("chosen", "others"),
    [
        (
            ["m-1.safetensors", "m-2.safetensors", "m.safetensors.index.json"],
            ["pytorch_model-1.bin"],
        ),
        (["0_Transformer/model.safetensors", "0_Transformer/config.json", "modules.json"], []),
        (["config.json", "onnx/model.onnx", "onnx/model.onnx_data"], ["pytorch_model.bin"]),
        (["config.json", "onnx/model.onnx", "onnx/model.onnx.data"], ["pytorch_model.bin"]),
        (["config.json", "model.onnx"], [".cache/model.onnx", "a/.b/model.onnx", ".config.json"]),
        *(
            (
                ["2_Dense/config.json", "2_Dense/model.safetensors", "modules.json", weights],
                ["2_Dense/pytorch_model.bin"],
            )
            for weights in ("model.safetensors", "model.onnx")
        ),
    ],
)
def test_the_weights_are_chosen_with_their_descriptions(
    chosen: list[str], others: list[str]
) -> None:
    files = chosen + others
    assert select(files, "x") == sorted(chosen)
    assert not is_substitute(files, chosen)


def test_a_wanted_graph_takes_the_place_of_safetensors() -> None:
    data = "onnx/model.onnx_data"
    chosen = select([*SENTENCE_TRANSFORMERS, data, "onnx/model_fp16.onnx"], "x", "onnx")
    assert chosen == sorted(
        [
            *("1_Pooling/config.json", "config_sentence_transformers.json", "data_config.json"),
            *("modules.json", "sentencepiece.bpe.model", "onnx/model.onnx", data, *DESCRIPTIONS),
        ]
    )
    assert is_substitute(SENTENCE_TRANSFORMERS, chosen)


@pytest.mark.parametrize("graph", ["onnx/model_quantized.onnx", "openvino/model.onnx"])
def test_safetensors_are_chosen_if_no_graph_is_in_a_usual_place(graph: str) -> None:
    files = ["config.json", "model.safetensors", graph]
    chosen = select(files, "x", "onnx")
    assert chosen == ["config.json", "model.safetensors"]
    assert not is_substitute(files, chosen)


def test_all_graphs_are_chosen_if_there_are_no_safetensors() -> None:
    files = ["config.json", "onnx/model.onnx", "onnx/model_fp16.onnx"]
    assert select(files, "x", "onnx") == select(files, "x") == files
    assert not is_substitute(files, files)


def test_a_prepared_model_is_no_substitute_for_safetensors_beside_it() -> None:
    files = [PACKAGE_FILE, SUMS_FILE, *FILES, "model.safetensors"]
    assert not is_substitute(files, FILES)


def test_the_listed_files_and_the_signature_of_a_prepared_model_are_chosen(published: Path) -> None:
    (published / SIGNATURE_FILE).write_bytes(b"{}")
    paths = [*FILES, PACKAGE_FILE, SUMS_FILE, SIGNATURE_FILE, ".gitattributes"]
    assert descriptions(paths) == [PACKAGE_FILE, SUMS_FILE, SIGNATURE_FILE]
    assert set(needed(paths, published, "x")) == {*paths} - {".gitattributes"}


def test_a_signature_alone_makes_no_prepared_model() -> None:
    paths = ["config.json", "model.safetensors", SIGNATURE_FILE]
    assert descriptions(paths) == []
    assert select(paths, "x") == ["config.json", "model.safetensors"]


@pytest.mark.parametrize(
    ("paths", "why"),
    [
        *(
            ([*DESCRIPTIONS, name], rf"only pickled weights \({name}\), which are refused")
            for name in ("pytorch_model.bin", "deep/er/w.pkl")
        ),
        (["pytorch_model.bin", "2_Dense/model.safetensors", "modules.json"], "only pickled"),
        (DESCRIPTIONS, "no weights"),
        ([], "no weights"),
    ],
)
def test_a_repository_without_usable_weights_is_refused(paths: list[str], why: str) -> None:
    with pytest.raises(SourceError, match=f"^hf://owner/model has {why}.*; needed are"):
        select(paths, "hf://owner/model")


@pytest.mark.parametrize(
    ("where", "way"),
    [
        ("file:///a", "name the folder of one model"),
        ("hf://a/b", "download it and name the folder of one model"),
    ],
)
def test_weights_in_folders_of_checkpoints_are_named(where: str, way: str) -> None:
    folders = [f"checkpoint-{step}/model.safetensors" for step in (100, 200, 300, 400)]
    named = "checkpoint-100, checkpoint-200, checkpoint-300, …"
    with pytest.raises(
        SourceError, match=f"^{where} has no weights itself, but in {named}: {way}$"
    ):
        select([*DESCRIPTIONS, *folders], where)


def test_an_adapter_is_not_taken_for_a_model() -> None:
    for weights in ("adapter_model.safetensors", "adapter_model.bin", "model.safetensors"):
        with pytest.raises(SourceError, match=r"^x holds a PEFT adapter"):
            select(["adapter_config.json", weights], "x")


PICKLES = [
    *("pytorch_model.bin", "0_Transformer/pytorch_model.bin", "training_args.bin"),
    *("optimizer.pt", "rng_state.pth", "openvino/model.bin"),
]


def test_pickles_are_chosen_only_if_they_are_allowed_and_there_is_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = [*DESCRIPTIONS, *PICKLES]
    with pytest.raises(SourceError, match="which are refused"):
        select(files, "x")
    monkeypatch.setenv("WARMSTART_ALLOW_PICKLES", "true")
    assert select(files, "x") == sorted([*DESCRIPTIONS, *PICKLES[:2]])
    assert select([*files, "model.safetensors"], "x") == sorted(
        [*DESCRIPTIONS, "model.safetensors"]
    )
    assert select([*files, "a/b.onnx"], "x") == sorted([*DESCRIPTIONS, "a/b.onnx"])
