"""Tiny models with random weights, made on the spot as Hugging Face folders."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
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
DIMENSION = 32
MAX_POSITIONS = 64


def make_classifier(folder: Path, problem_type: str = "single_label_classification") -> Path:
    """A BERT classifier over ``LABELS``, of one of them a text or of several."""
    import torch
    from transformers import BertForSequenceClassification

    torch.manual_seed(7)
    config = _config(
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
        problem_type=problem_type,
    )
    model = BertForSequenceClassification(config)
    # Random logits favour one label; this evens them out for texts made of WORDS.
    model.classifier.bias.data = torch.tensor([-0.4, 0.3, -1.4])
    model.save_pretrained(folder)
    _save_tokenizer(folder)
    return folder


def make_nli(folder: Path) -> Path:
    """A BERT model of natural language inference: pairs over ``NLI_LABELS``."""
    import torch
    from transformers import BertForSequenceClassification

    torch.manual_seed(17)
    labels = dict(enumerate(NLI_LABELS))
    config = _config(id2label=labels, label2id={label: index for index, label in labels.items()})
    BertForSequenceClassification(config).save_pretrained(folder)
    _save_tokenizer(folder)
    return folder


def make_reranker(folder: Path, activation: str | None = None) -> Path:
    """A BERT cross-encoder; ``activation`` is what sentence-transformers 4 notes of it."""
    import torch
    from transformers import BertForSequenceClassification

    torch.manual_seed(19)
    noted = {} if activation is None else {"sentence_transformers": {"activation_fn": activation}}
    BertForSequenceClassification(_config(num_labels=1, **noted)).save_pretrained(folder)
    _save_tokenizer(folder)
    return folder


def make_embedder(
    folder: Path,
    pooling: str = "mean",
    *,
    normalize: bool = True,
    prompts: dict[str, str] | None = None,
    dense: Sequence[tuple[int, str]] = (),
) -> Path:
    """A BERT embedder as sentence-transformers keeps it; its first prompt is the default one.

    ``dense``: the widths and activations of layers over its pooled vector.
    """
    import torch
    from transformers import BertModel

    torch.manual_seed(11)
    BertModel(_config()).save_pretrained(folder)
    _save_tokenizer(folder)
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


def _save_dense(folder: Path, inputs: int, width: int, activation: str) -> None:
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense

    layer = Dense(inputs, width, activation_function=getattr(torch.nn, activation)())
    # PyTorch's own start is so small that activations hardly bend it.
    torch.nn.init.normal_(layer.linear.weight, std=0.4)
    folder.mkdir()
    layer.save(str(folder))


def make_tagger(folder: Path) -> Path:
    """A BERT token classifier over ``TAGS``."""
    import torch
    from transformers import BertForTokenClassification

    torch.manual_seed(3)
    BertForTokenClassification(
        _config(
            id2label=dict(enumerate(TAGS)), label2id={tag: index for index, tag in enumerate(TAGS)}
        )
    ).save_pretrained(folder)
    _save_tokenizer(folder)
    return folder


def make_reader(folder: Path) -> Path:
    """A BERT model for extractive question answering."""
    import torch
    from transformers import BertForQuestionAnswering

    torch.manual_seed(5)
    BertForQuestionAnswering(_config()).save_pretrained(folder)
    _save_tokenizer(folder)
    return folder


def make_masked(folder: Path) -> Path:
    """A BERT model that fills masks."""
    import torch
    from transformers import BertForMaskedLM

    torch.manual_seed(13)
    BertForMaskedLM(_config()).save_pretrained(folder)
    _save_tokenizer(folder)
    return folder


def _config(**settings: object):  # type: ignore[no-untyped-def]
    from transformers import BertConfig

    return BertConfig(
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


def _save_tokenizer(folder: Path) -> None:
    from transformers import BertTokenizerFast

    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(VOCABULARY))
    BertTokenizerFast(str(vocabulary), model_max_length=MAX_POSITIONS).save_pretrained(folder)


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content))
