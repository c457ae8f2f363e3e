"""Settings of a source: what is honoured passes, and what is not is refused by its name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.original.settings import check_settings
from storage_init.base.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
]
BERT, ST, TOKENIZER = (
    "sentence_bert_config",
    "config_sentence_transformers",
    "tokenizer_config",
)


def folder(path: Path, **files: Any) -> Path:
    for name, content in {"config": {"model_type": "bert"}, "modules": MODULES, **files}.items():
        file = path / f"{name.replace('__', '/')}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        (BERT, "processing_kwargs", {"text": {"max_length": 8}}),
        (BERT, "document_length", 8),
        (BERT, "query_expansion", {"length": 32}),
        (BERT, "modality_config", {"message": {"method": "forward"}}),
        (BERT, "marvellous", 1),
        ("1_Pooling__config", "marvellous", 1),
        ("2_Dense__config", "use_residual", True),
        (ST, "truncate_dim", 16),
        (ST, "model_type", "SparseEncoder"),
        (ST, "model_type", "MultiVectorEncoder"),
        (TOKENIZER, "truncation_side", "left"),
        (TOKENIZER, "marvellous", 1),
        ("config", "auto_map", {"AutoModel": "modeling.Own"}),
    ],
)
def test_a_setting_that_is_not_honoured_is_refused_by_its_name(
    tmp_path: Path, file: str, key: str, value: object
) -> None:
    source = folder(tmp_path, **{file: {key: value}})
    with pytest.raises(SourceError) as refused:
        check_settings(source)
    message = str(refused.value)
    assert f"{file.replace('__', '/')}.json states {key}" in message
    assert message.endswith(f"with --accept-unknown {key}, which leaves it out")
    check_settings(source, [key])


def test_what_the_libraries_save_by_themselves_is_known(embedder: Path, reranker: Path) -> None:
    for source in (embedder, reranker):
        check_settings(source)


def test_a_setfit_model_is_not_taken_for_an_embedder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a SetFit model"):
        check_settings(folder(tmp_path, config_setfit={"labels": None}))


@pytest.mark.parametrize("kind", ["fnet", "funnel", "longformer"])
def test_an_architecture_that_cannot_be_traced_is_refused_at_once(
    tmp_path: Path, kind: str
) -> None:
    with pytest.raises(SourceError, match=f"{kind} cannot be exported"):
        check_settings(folder(tmp_path, config={"model_type": kind}))


@pytest.mark.parametrize(
    "config", [{"model_type": "mra"}, {"model_type": "yoso", "use_expectation": False}]
)
def test_attention_that_only_a_gpu_computes_is_refused(
    tmp_path: Path, config: dict[str, object]
) -> None:
    with pytest.raises(SourceError, match=r"on a GPU alone: .* in a CUDA kernel"):
        check_settings(folder(tmp_path, config=config))
