"""The task, labels, pooling and limits that a Hugging Face model folder states.

This module reads the JSON without transformers, because the predictor's plain folders and the
storage initializer use it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec
from msgspec import UNSET

from storage_init.base.errors import SourceError
from storage_init.format.package import Limits
from storage_init.format.tasks import (
    FillMask,
    QuestionAnswering,
    Task,
    TextClassification,
    TextEmbedding,
    TextRanking,
    TokenClassification,
)
from storage_init.raw import sentence_config
from storage_init.raw.sentence_config import read_json

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.raw.sentence_config import Dense

TOKENIZER_CONFIG = "tokenizer_config.json"
DEFAULT_MAX_LENGTH = 512
# Defaults of transformers' QuestionAnsweringPipeline: a window's tokens, and how many overlap.
READER_LENGTH = 384
READER_STRIDE = 128
# transformers writes a huge number if a tokenizer has no limit.
NO_LIMIT = 1 << 20

# Model types whose positions come from ``create_position_ids_from_input_ids`` in transformers.
_COUNTED_FROM_PADDING = (
    *("roberta", "xlm-roberta", "camembert", "data2vec-text", "ibert", "longformer", "mpnet"),
    *("roberta-prelayernorm", "xlm-roberta-xl", "xmod", "luke", "lilt", "esm", "markuplm"),
)

# XLM's and FlauBERT's mask-filling classes have names like those of models that generate text.
MASKED_IN_DISGUISE = ("XLMWithLMHeadModel", "FlaubertWithLMHeadModel")
# The endings of architectures that generate text.
GENERATIVE = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")


class _CrossEncoder(msgspec.Struct):
    """The section that sentence-transformers adds to ``config.json``."""

    activation_fn: str | None = None


class _Config(msgspec.Struct):
    """The fields of ``config.json`` that this module reads."""

    model_type: str = ""
    architectures: list[str] | None = None
    id2label: Any = None
    num_labels: int | None = None
    problem_type: str | None = None
    hidden_size: int | None = None
    # Other names of hidden_size: DistilBERT's, XLM's and Funnel's.
    dim: int | None = None
    emb_dim: int | None = None
    d_model: int | None = None
    num_attention_heads: int | None = None
    # DistilBERT's and XLM's name of it.
    n_heads: int | None = None
    max_position_embeddings: int | None = None
    position_embedding_type: str | None = None
    pad_token_id: int | None = None
    # BigBird's, with its defaults.
    attention_type: str = "block_sparse"
    block_size: int = 64
    num_random_blocks: int = 3
    # A cross-encoder's, in its newer and older form.
    sentence_transformers: _CrossEncoder | None = None
    sbert_ce_default_activation_function: str | None = None


class _AddedToken(msgspec.Struct):
    """A special token, if the file states it as an object."""

    content: str


class _TokenizerConfig(msgspec.Struct):
    """The fields of ``tokenizer_config.json`` and ``special_tokens_map.json`` that are read."""

    model_max_length: int | float | None = None
    mask_token: str | _AddedToken | None = None
    clean_up_tokenization_spaces: bool | None = None


class _SentenceConfig(msgspec.Struct):
    """``sentence_bert_config.json`` of sentence-transformers."""

    max_seq_length: int | None = None


@dataclass(frozen=True)
class ModelFacts:
    """The facts about a model, besides its graph, that serving it needs."""

    model_type: str
    task: Task
    limits: Limits
    pad_token_id: int
    # An embedder's own, between its pooling and its normalisation.
    dense: tuple[Dense, ...] = ()


TaskName = Literal[
    "auto",
    "text-classification",
    "text-embedding",
    "text-ranking",
    "token-classification",
    "question-answering",
    "fill-mask",
]
# The task for each ending of an architecture's name.
_ENDINGS: dict[str, TaskName] = {
    "ForSequenceClassification": "text-classification",
    "Model": "text-embedding",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
    "ForQuestionAnsweringSimple": "question-answering",  # XLM's and FlauBERT's
}


def read_facts(folder: Path, task: TaskName = "auto", max_length: int | None = None) -> ModelFacts:
    """Read a model folder; ``task`` and ``max_length`` override what it states.

    Raises:
        SourceError: there is no ``config.json``, or the task is not supported.
    """
    config = read_json(folder / "config.json", _Config)
    if config is None:
        raise SourceError(f"{folder} has no config.json: it is not a Hugging Face model")
    name = _guess_task(folder, config) if task == "auto" else task
    length = _max_length(folder, config, max_length)
    if name == "question-answering" and max_length is None:
        length = min(length, READER_LENGTH)
    known: Task
    if name == "text-embedding":
        known = _embedding(folder, config)
    elif name == "text-ranking":
        known = _ranking(folder, config)
    elif name == "token-classification":
        known = TokenClassification(labels=_labels(folder, config))
    elif name == "question-answering":
        known = QuestionAnswering(stride=min(length // 2, READER_STRIDE))
    elif name == "fill-mask":
        known = _fill_mask(folder)
    else:
        known = _classification(folder, config)
    dense = sentence_config.dense_layers(folder) if name == "text-embedding" else []
    limits = Limits(
        max_length=length, attention_heads=config.num_attention_heads or config.n_heads or UNSET
    )
    return ModelFacts(config.model_type, known, limits, _pad_token_id(config), tuple(dense))


def _guess_task(folder: Path, config: _Config) -> TaskName:
    if sentence_config.is_cross_encoder(folder):
        return "text-ranking"
    if (folder / "modules.json").exists():
        return "text-embedding"
    architecture = (config.architectures or [""])[0]
    if architecture in MASKED_IN_DISGUISE:
        return "fill-mask"
    if architecture.endswith(GENERATIVE):
        raise SourceError(
            f"{folder}: {architecture} generates text; what is prepared and served here are "
            f"encoders ({', '.join(dict.fromkeys(_ENDINGS.values()))})"
        )
    if architecture.endswith("ForSequenceClassification") and _is_ranker(folder, config):
        return "text-ranking"
    for ending, name in _ENDINGS.items():
        if architecture.endswith(ending):
            return name
    raise SourceError(
        f"{folder}: architecture {architecture or '(none stated)'} is of no supported task "
        f"({', '.join(get_args(TaskName)[1:])}). If one of these fits, name it in the recipe."
    )


def _is_ranker(folder: Path, config: _Config) -> bool:
    """Whether one score a pair is all that a classifier gives: it has one label without a name."""
    labels = _labels(folder, config)
    marked = config.sentence_transformers or config.sbert_ce_default_activation_function
    return len(labels) == 1 and bool(marked or (labels == ["LABEL_0"] and not config.problem_type))


def _ranking(folder: Path, config: _Config) -> TextRanking:
    architecture = (config.architectures or [""])[0]
    if architecture.endswith(GENERATIVE):
        raise SourceError(
            f"{folder}: {architecture} reads its score from the next token's logits; supported are "
            "rerankers with a head of one label (ForSequenceClassification)"
        )
    if len(labels := _labels(folder, config)) != 1:
        raise SourceError(
            f"{folder}/config.json has {len(labels)} labels; text-ranking needs one: prepare it as "
            "--task text-classification, which takes pairs, too"
        )
    newer = config.sentence_transformers
    stated = newer.activation_fn if newer else config.sbert_ce_default_activation_function
    return sentence_config.ranking(folder, stated)


def _labels(folder: Path, config: _Config) -> list[str]:
    stated = config.id2label
    if not stated:
        # transformers' default is two labels
        return [f"LABEL_{index}" for index in range(config.num_labels or 2)]
    numbers = sorted(stated) if isinstance(stated, dict) else []
    if numbers != sorted(map(str, range(len(stated)))) or not all(
        isinstance(name, str | int) for name in stated.values()
    ):
        raise SourceError(
            f"{folder}/config.json has an id2label that does not give a name to each number from 0 "
            'on: it must be like {"0": "negative", "1": "positive"}'
        )
    # transformers answers with numbers where the names are numbers.
    return [str(label) for _, label in sorted(stated.items(), key=_number)]


def _number(item: tuple[str, object]) -> int:
    return int(item[0])


def _fill_mask(folder: Path) -> FillMask:
    tokenizer = read_json(folder / TOKENIZER_CONFIG, _TokenizerConfig)
    cleans = tokenizer is not None and tokenizer.clean_up_tokenization_spaces
    return FillMask(mask_token=_mask_token(folder), clean_up_spaces=True if cleans else UNSET)


def _mask_token(folder: Path) -> str:
    for name in (TOKENIZER_CONFIG, "special_tokens_map.json"):
        stated = read_json(folder / name, _TokenizerConfig)
        if stated and stated.mask_token:
            token = stated.mask_token
            return token if isinstance(token, str) else token.content
    raise SourceError(f"{folder}/{TOKENIZER_CONFIG} states no mask_token to fill")


def _classification(folder: Path, config: _Config) -> TextClassification:
    labels = _labels(folder, config)
    activation: Literal["softmax", "sigmoid", "none"]
    # The rule of transformers' TextClassificationPipeline.
    if config.problem_type == "regression":
        activation = "none"
    elif config.problem_type == "multi_label_classification" or len(labels) == 1:
        activation = "sigmoid"
    else:
        activation = "softmax"
    return TextClassification(labels=labels, activation=activation)


def _embedding(folder: Path, config: _Config) -> TextEmbedding:
    dimension = config.hidden_size or config.dim or config.emb_dim or config.d_model
    if dimension is None:
        raise SourceError(f"{folder}/config.json states no hidden_size")
    return sentence_config.embedding(folder, dimension)


def _max_length(folder: Path, config: _Config, wanted: int | None) -> int:
    """Return the largest number of tokens in a text: ``wanted``, else what the folder states."""
    positions = _positions(config)
    if wanted is not None:
        if positions is not None and wanted > positions:
            raise SourceError(f"max_length {wanted} is more than the model's {positions} positions")
        return wanted
    sentence = read_json(folder / "sentence_bert_config.json", _SentenceConfig)
    tokenizer = read_json(folder / TOKENIZER_CONFIG, _TokenizerConfig)
    # sentence-transformers puts its own number in the place of the tokenizer's.
    own = sentence.max_seq_length if sentence else None
    stated = (positions, own or (tokenizer.model_max_length if tokenizer else None))
    return int(min((n for n in stated if n and n < NO_LIMIT), default=DEFAULT_MAX_LENGTH))


def _positions(config: _Config) -> int | None:
    """Return the number of tokens that a model's graph can take, or None without a limit."""
    positions = config.max_position_embeddings
    if positions is None and _counts_from_padding(config):
        # transformers' default of these model types.
        positions = DEFAULT_MAX_LENGTH
    if positions is None:
        return None
    if _counts_from_padding(config):
        return positions - _pad_token_id(config) - 1
    if config.model_type == "big_bird" and config.attention_type == "block_sparse":
        # transformers' BigBirdModel uses full attention up to this length, which one graph can
        # hold; its sparse attention differs for each length.
        return min(positions, (5 + 2 * config.num_random_blocks) * config.block_size)
    return positions


def _pad_token_id(config: _Config) -> int:
    """Return the stated id, else transformers' default for the model type."""
    if config.pad_token_id is not None:
        return config.pad_token_id
    return 1 if _counts_from_padding(config) else 0


def _counts_from_padding(config: _Config) -> bool:
    """Return whether a model numbers positions from ``pad_token_id + 1``, as RoBERTa does."""
    # ESM has a table of positions or rotates by them: then any number of tokens has its own.
    rotates = config.position_embedding_type == "rotary"
    return config.model_type in _COUNTED_FROM_PADDING and not rotates
