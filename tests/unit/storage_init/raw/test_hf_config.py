"""The task, labels and limits that Hugging Face model folders state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import pytest
from msgspec import UNSET

from storage_init.base.errors import SourceError
from storage_init.format.tasks import (
    FillMask,
    QuestionAnswering,
    TextClassification,
    TextEmbedding,
    TextRanking,
    TokenClassification,
)
from storage_init.raw.hf_config import TaskName, read_facts

if TYPE_CHECKING:
    from pathlib import Path

Content = dict[str, object]

BERT: Content = {
    "model_type": "bert",
    "architectures": ["BertForSequenceClassification"],
    "hidden_size": 384,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
}
ROBERTA: Content = {
    "model_type": "roberta",
    "architectures": ["RobertaForSequenceClassification"],
    "hidden_size": 768,
    "max_position_embeddings": 514,
    "pad_token_id": 1,
    "id2label": {"0": "negative", "1": "neutral", "2": "positive"},
}
RELEVANT: Content = {"id2label": {"0": "relevant"}}
MASKED: Content = {**BERT, "architectures": ["BertForMaskedLM"]}
IDENTITY = "torch.nn.modules.linear.Identity"


def model(folder: Path, config: Content, **others: object) -> Path:
    """Write a model folder; a keyword is a file's name without ``.json``."""
    for name, content in {"config": config, **others}.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def classification(config: Content, folder: Path) -> TextClassification:
    task = read_facts(model(folder, config)).task
    assert isinstance(task, TextClassification)
    return task


def refusal(folder: Path, task: TaskName = "auto", max_length: int | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        read_facts(folder, task, max_length)
    return str(caught.value)


def test_a_classifier_states_its_labels(tmp_path: Path) -> None:
    facts = read_facts(model(tmp_path, ROBERTA))
    assert (facts.model_type, facts.pad_token_id) == ("roberta", 1)
    labels = ["negative", "neutral", "positive"]
    assert facts.task == TextClassification(labels=labels, activation="softmax")
    tagger = {**ROBERTA, "architectures": ["RobertaForTokenClassification"]}
    assert read_facts(model(tmp_path, tagger)).task == TokenClassification(labels=labels)


def test_labels_are_sorted_by_their_numbers(tmp_path: Path) -> None:
    labels = {str(index): f"label {index}" for index in (10, 9, 2, 0, 1, 3, 4, 5, 6, 7, 8)}
    task = classification({**BERT, "id2label": labels}, tmp_path)
    assert task.labels == [f"label {index}" for index in range(11)]


def test_labels_without_names_are_numbered_as_in_transformers(tmp_path: Path) -> None:
    assert classification(BERT, tmp_path).labels == ["LABEL_0", "LABEL_1"]
    three = classification({**BERT, "num_labels": 3}, tmp_path)
    assert three.labels == ["LABEL_0", "LABEL_1", "LABEL_2"]


@pytest.mark.parametrize(
    ("problem_type", "labels", "activation"),
    [
        (None, 2, "softmax"),
        (None, 1, "sigmoid"),  # it has a name
        ("single_label_classification", 3, "softmax"),
        ("single_label_classification", 1, "sigmoid"),
        ("multi_label_classification", 3, "sigmoid"),
        ("regression", 1, "none"),
        ("regression", 3, "none"),
    ],
)
def test_the_problem_type_chooses_the_activation(
    tmp_path: Path, problem_type: str | None, labels: int, activation: str
) -> None:
    config = {**BERT, "problem_type": problem_type, "id2label": dict.fromkeys(range(labels), "x")}
    assert classification(config, tmp_path).activation == activation


@pytest.mark.parametrize("architecture", ["BertForPreTraining", "LlamaForCausalLM", None])
def test_another_architecture_needs_a_task_from_the_recipe(
    tmp_path: Path, architecture: str | None
) -> None:
    folder = model(tmp_path, {**BERT, "architectures": [architecture] if architecture else None})
    message = refusal(folder)
    assert (architecture or "(none stated)") in message
    assert "text-classification, text-embedding" in message
    assert isinstance(read_facts(folder, "text-embedding").task, TextEmbedding)
    assert isinstance(read_facts(folder, "text-classification").task, TextClassification)


@pytest.mark.parametrize(
    ("config", "activation"),
    [
        ({"num_labels": 1}, "sigmoid"),
        ({"id2label": {"0": "LABEL_0"}}, "sigmoid"),
        (RELEVANT | {"sentence_transformers": {"activation_fn": IDENTITY}}, "none"),
        ({"num_labels": 1, "sbert_ce_default_activation_function": IDENTITY}, "none"),
    ],
    ids=["no name", "transformers' name", "sentence-transformers 4", "sentence-transformers 3"],
)
def test_a_classifier_with_one_unnamed_label_is_a_cross_encoder(
    tmp_path: Path, config: Content, activation: Literal["sigmoid", "none"]
) -> None:
    task = read_facts(model(tmp_path, {**BERT, **config})).task
    assert task == TextRanking(activation=activation)


def test_a_recipe_may_use_a_named_label_as_a_score(tmp_path: Path) -> None:
    folder = model(tmp_path, {**BERT, **RELEVANT})
    assert isinstance(read_facts(folder).task, TextClassification)
    assert read_facts(folder, "text-ranking").task == TextRanking(activation="sigmoid")
    message = refusal(model(tmp_path, BERT), "text-ranking")
    assert "has 2 labels; text-ranking needs one" in message


def test_a_folder_may_state_that_it_is_a_cross_encoder(tmp_path: Path) -> None:
    settings = {"model_type": "CrossEncoder", "activation_fn": IDENTITY}
    transformer = {"idx": 0, "name": "0", "path": "", "type": "x.Transformer"}
    files = {"modules": [transformer], "config_sentence_transformers": settings}
    folder = model(tmp_path, {**BERT, **RELEVANT}, **files)
    assert read_facts(folder).task == TextRanking(activation="none")


def test_a_folder_with_modules_is_an_embedder(tmp_path: Path) -> None:
    task = read_facts(model(tmp_path, BERT, modules=[])).task
    assert task == TextEmbedding(dimension=384, pooling="mean", normalize=False)


def test_an_embedder_without_a_size_is_refused(tmp_path: Path) -> None:
    folder = model(tmp_path, {"architectures": ["BertModel"]})
    assert refusal(folder) == f"{folder}/config.json states no hidden_size"


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith(f"{tmp_path} has no config.json")


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b'{"hidden_size": "384"}', b'{"model_type": "\xff"}'),
        b'{"x":' + b"[" * 100_000,
        b'{"architectures":["BertForSequenceClassification"],"id2label":{"a":"b"}}',
    ],
    ids=["empty", "no object", "wrong type", "no UTF-8", "too deep", "label without a number"],
)
def test_a_config_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    assert f"{tmp_path}/config.json" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("config", "others", "length"),
    [
        (BERT, {}, 512),
        (ROBERTA, {}, 512),  # it keeps two positions
        ({**ROBERTA, "model_type": "data2vec-text"}, {}, 512),
        ({**ROBERTA, "max_position_embeddings": None}, {}, 510),
        ({**ROBERTA, "model_type": "esm"}, {}, 512),
        ({**ROBERTA, "model_type": "esm", "position_embedding_type": "rotary"}, {}, 514),
        ({**ROBERTA, "pad_token_id": 0}, {}, 513),
        ({**BERT, "pad_token_id": 3}, {}, 512),  # it counts from 0 in any case
        # The attention of BigBird is full up to this length, or always.
        ({**BERT, "model_type": "big_bird", "max_position_embeddings": 4096}, {}, 704),
        ({**BERT, "model_type": "big_bird", "attention_type": "original_full"}, {}, 512),
        (BERT, {"sentence_bert_config": {"max_seq_length": 256}}, 256),
        (BERT, {"sentence_bert_config": {"max_seq_length": 1024}}, 512),
        (BERT, {"sentence_bert_config": {"max_seq_length": None}}, 512),
        (BERT, {"tokenizer_config": {"model_max_length": 128}}, 128),
        (BERT, {"tokenizer_config": {"model_max_length": int(1e30)}}, 512),
        ({"architectures": ["BertForSequenceClassification"]}, {}, 512),
    ],
)
def test_the_smallest_stated_length_holds(
    tmp_path: Path, config: Content, others: Content, length: int
) -> None:
    assert read_facts(model(tmp_path, config, **others)).limits.max_length == length


def test_the_recipe_may_ask_for_any_length_up_to_the_models_positions(tmp_path: Path) -> None:
    folder = model(tmp_path, ROBERTA, tokenizer_config={"model_max_length": 128})
    assert read_facts(folder, max_length=512).limits.max_length == 512
    assert read_facts(folder, max_length=64).limits.max_length == 64
    message = refusal(folder, max_length=513)
    assert message == "max_length 513 is more than the model's 512 positions"


@pytest.mark.parametrize(
    ("positions", "length", "stride"), [(512, 384, 128), (64, 64, 32), (300, 300, 128)]
)
def test_a_readers_windows_are_the_same_as_in_transformers(
    tmp_path: Path, positions: int, length: int, stride: int
) -> None:
    config = {
        **BERT,
        "architectures": ["BertForQuestionAnswering"],
        "max_position_embeddings": positions,
    }
    facts = read_facts(model(tmp_path, config))
    assert (facts.task, facts.limits.max_length) == (QuestionAnswering(stride=stride), length)
    assert read_facts(tmp_path, "auto", positions).limits.max_length == positions


@pytest.mark.parametrize(
    "stated", [{"mask_token": "<m>"}, {"mask_token": {"content": "<m>", "lstrip": True}}]
)
@pytest.mark.parametrize("file", ["tokenizer_config", "special_tokens_map"])
def test_the_mask_is_read_in_both_forms(tmp_path: Path, file: str, stated: Content) -> None:
    assert read_facts(model(tmp_path, MASKED, **{file: stated})).task == FillMask(mask_token="<m>")


@pytest.mark.parametrize(("stated", "wanted"), [(True, True), (False, UNSET), (None, UNSET)])
def test_a_tokenizer_states_whether_decoded_text_loses_spaces(
    tmp_path: Path, stated: bool | None, wanted: Any
) -> None:
    tokenizer = {"mask_token": "<m>", "clean_up_tokenization_spaces": stated}
    facts = read_facts(model(tmp_path, MASKED, tokenizer_config=tokenizer))
    assert facts.task == FillMask(mask_token="<m>", clean_up_spaces=wanted)


@pytest.mark.parametrize("name", ["hidden_size", "dim", "emb_dim", "d_model"])
def test_the_dimension_has_several_names(tmp_path: Path, name: str) -> None:
    config = {"model_type": "xlm", "architectures": ["XLMModel"], name: 24}
    task = read_facts(model(tmp_path, config)).task
    assert isinstance(task, TextEmbedding)
    assert task.dimension == 24


@pytest.mark.parametrize(
    ("architecture", "task"),
    [("XLMWithLMHeadModel", FillMask), ("FlaubertForQuestionAnsweringSimple", QuestionAnswering)],
)
def test_unusual_names_of_architectures_are_known(
    tmp_path: Path, architecture: str, task: type
) -> None:
    config = {**BERT, "architectures": [architecture]}
    folder = model(tmp_path, config, tokenizer_config={"mask_token": "<m>"})
    assert isinstance(read_facts(folder).task, task)


def test_a_model_without_a_mask_is_refused(tmp_path: Path) -> None:
    folder = model(tmp_path, MASKED, tokenizer_config={})
    assert refusal(folder).endswith("tokenizer_config.json states no mask_token to fill")


def test_labels_that_are_numbers_are_their_own_names(tmp_path: Path) -> None:
    stated = {str(number): number for number in range(11)}
    assert classification({**BERT, "id2label": stated}, tmp_path).labels == [*map(str, range(11))]


@pytest.mark.parametrize(
    "stated",
    [["a", "b"], {"a": 0, "b": 1}, {"0": "a", "2": "b"}, {"0": None, "1": "b"}, "a", {"00": "a"}],
)
def test_labels_without_their_numbers_are_refused_where_they_matter(
    tmp_path: Path, stated: object
) -> None:
    folder = model(tmp_path, {**BERT, "id2label": stated})
    assert "has an id2label that does not give a name to each number" in refusal(folder)
    assert isinstance(read_facts(folder, "text-embedding").task, TextEmbedding)
