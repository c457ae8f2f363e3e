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
        (ST, "model_type", "Another"),
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


@pytest.mark.parametrize(
    ("names", "files", "said"),
    [
        (["config_setfit.json"], {}, "is a SetFit model"),
        (["model_head.pkl"], {}, "is a SetFit model"),
        (["package.json"], {}, "is a prepared model already"),
        ([], {ST: {"model_type": "SparseEncoder"}}, "states SparseEncoder: a sparse encoder"),
        ([], {ST: {"model_type": "MultiVectorEncoder"}}, "a multi-vector model, as ColBERT is"),
        (
            [],
            {"modules": [{"type": "a.SpladePooling"}]},
            "states a.SpladePooling: a sparse encoder",
        ),
        ([], {"modules": [{"type": "pylate.models.Dense.Dense"}]}, "a multi-vector model"),
        ([], {"modules": [{"type": "a.LogitScore"}]}, "reads its score from the next token"),
        ([], {"config": {"architectures": ["HF_ColBERT"]}}, "a multi-vector model"),
    ],
)
def test_a_kind_that_is_not_supported_is_refused_by_its_name(
    tmp_path: Path, names: list[str], files: dict[str, Any], said: str
) -> None:
    with pytest.raises(SourceError, match=said) as refused:
        check_settings(folder(tmp_path, **files), ["model_type", "type"], names)
    assert "--accept-unknown" not in str(refused.value)


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        *(
            ({"model_type": kind}, "cannot be exported")
            for kind in ("fnet", "funnel", "longformer")
        ),
        ({"model_type": "mra"}, "answers on a GPU alone"),
        ({"model_type": "yoso", "use_expectation": False}, "answers on a GPU alone"),
    ],
)
def test_an_architecture_that_cannot_be_traced_is_refused_at_once(
    tmp_path: Path, stated: dict[str, Any], said: str
) -> None:
    with pytest.raises(SourceError, match=f"^{stated['model_type']} {said}"):
        check_settings(folder(tmp_path, config=stated))
