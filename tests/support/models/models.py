"""Tiny models with random weights, as Hugging Face folders."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.models.cache import made_once

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

WORDS = (
    "the a and it is was not very good bad great poor film book screen battery works well never "
    "again would i this that with for to of in on lasts two days deliver ##y ##ed ##s ##ing ##ly"
)
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?#"
VOCABULARY = list(dict.fromkeys([*SPECIAL, *WORDS.split(), *CHARACTERS]))
LABELS = ["negative", "neutral", "positive"]
NLI_LABELS = ["contradiction", "neutral", "ENTAILMENT"]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
PROMPTS = {"query": "would this film deliver ", "passage": "book ", "plain": ""}
DIMENSION = 32
MAX_POSITIONS = 64
LONG, LONG_HEADS = 4096, 16


def source(make: Callable[..., Path], **settings: Any) -> Path:
    """Return the model folder that one of the functions below makes, made once; read only."""
    kind = make.__name__.removeprefix("make_")
    return made_once(kind, settings, lambda folder: make(folder, **settings))


def make_classifier(folder: Path, problem_type: str = "single_label_classification") -> Path:
    """Make a BERT classifier that gives a text one of ``LABELS``, or several of them."""
    import torch

    model = _bert("SequenceClassification", 7, **_labels(LABELS), problem_type=problem_type)
    # Random logits favour one label; this evens them out for texts made of WORDS.
    model.classifier.bias.data = torch.tensor([-0.4, 0.3, -1.4])
    return _save(model, folder)


def make_nli(folder: Path) -> Path:
    """Make a BERT model of natural language inference: pairs over ``NLI_LABELS``."""
    return _save(_bert("SequenceClassification", 17, **_labels(NLI_LABELS)), folder)


def make_reranker(folder: Path, activation: str | None = None) -> Path:
    """Make a BERT cross-encoder; ``activation`` is what sentence-transformers 4 notes in it."""
    noted = {} if activation is None else {"sentence_transformers": {"activation_fn": activation}}
    return _save(_bert("SequenceClassification", 19, num_labels=1, **noted), folder)


def make_tagger(folder: Path) -> Path:
    """Make a BERT token classifier over ``TAGS``."""
    return _save(_bert("TokenClassification", 3, **_labels(TAGS)), folder)


def make_reader(folder: Path) -> Path:
    """Make a BERT model for extractive question answering."""
    return _save(_bert("QuestionAnswering", 5), folder)


def make_masked(folder: Path) -> Path:
    """Make a BERT model that fills masks."""
    return _save(_bert("MaskedLM", 13), folder)


def make_embedder(
    folder: Path,
    pooling: str = "mean",
    *,
    normalize: bool = True,
    prompts: dict[str, str] | None = None,
    dense: Sequence[tuple[int, str]] = (),
) -> Path:
    """Make a BERT embedder in sentence-transformers' layout; its first prompt is the default.

    Args:
        folder: where to; it is created.
        pooling: sentence-transformers' name of the pooling.
        normalize: whether vectors are scaled to length 1.
        prompts: texts to put before an input, by name.
        dense: the widths and activations of layers over the pooled vector.
    """
    _save(_bert("Model", 11), folder)
    paths = ["", "1_Pooling", *(f"{place}_Dense" for place in range(2, 2 + len(dense)))]
    paths += [f"{len(paths)}_Normalize"] if normalize else []
    kinds = ["Transformer", *(path.partition("_")[2] for path in paths[1:])]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(zip(kinds, paths, strict=False))
    ]
    _write(folder / "modules.json", modules)
    (folder / "1_Pooling").mkdir()
    _write(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": DIMENSION, "pooling_mode": pooling},
    )
    if prompts:
        _write(
            folder / "config_sentence_transformers.json",
            {"prompts": prompts, "default_prompt_name": next(iter(prompts))},
        )
    for path, inputs, (width, activation) in zip(
        paths[2:], [DIMENSION, *(width for width, _ in dense)], dense, strict=False
    ):
        _save_dense(folder / path, inputs, width, activation)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": 48, "do_lower_case": False})
    return folder


def make_long_embedder(folder: Path, kind: str = "Bert") -> Path:
    """Make an embedder of 4,096 tokens: its attention needs more memory than its weights.

    ``kind``: ``Bert``, whose attention is fused, or ``ModernBert``, whose attention is not.
    """
    import torch
    import transformers

    make_embedder(folder)
    torch.manual_seed(11)
    settings: dict[str, Any] = {
        "vocab_size": len(VOCABULARY),
        "hidden_size": DIMENSION,
        "num_hidden_layers": 2,
        "num_attention_heads": LONG_HEADS,
        "intermediate_size": 64,
        "max_position_embeddings": LONG,
        "pad_token_id": 0,
    }
    if kind == "ModernBert":
        settings |= dict.fromkeys(("bos_token_id", "cls_token_id"), VOCABULARY.index("[CLS]"))
        settings |= dict.fromkeys(("eos_token_id", "sep_token_id"), VOCABULARY.index("[SEP]"))
    config = getattr(transformers, f"{kind}Config")(**settings)
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    for name, key in (
        ("tokenizer_config.json", "model_max_length"),
        ("sentence_bert_config.json", "max_seq_length"),
    ):
        stated = json.loads((folder / name).read_text())
        _write(folder / name, {**stated, key: LONG})
    return folder


def _save_dense(folder: Path, inputs: int, width: int, activation: str) -> None:
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense

    layer = Dense(inputs, width, activation_function=getattr(torch.nn, activation)())
    # PyTorch's own start is so small that activations hardly bend it.
    torch.nn.init.normal_(layer.linear.weight, std=0.4)
    folder.mkdir()
    layer.save(str(folder))


def _labels(labels: Sequence[str]) -> dict[str, Any]:
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }


def _bert(head: str, seed: int, **settings: Any) -> Any:
    import torch
    import transformers

    torch.manual_seed(seed)
    name = "BertModel" if head == "Model" else f"BertFor{head}"
    config = transformers.BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=DIMENSION,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=MAX_POSITIONS,
        pad_token_id=0,
        # The usual 0.02 gives a model this small the same answer to every text.
        initializer_range=0.3,
        **settings,
    )
    return getattr(transformers, name)(config)


def _save(model: Any, folder: Path) -> Path:
    """Save a model and its tokenizer."""
    from transformers import BertTokenizerFast

    model.save_pretrained(folder)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(VOCABULARY))
    BertTokenizerFast(str(vocabulary), model_max_length=MAX_POSITIONS).save_pretrained(folder)
    return folder


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content))
