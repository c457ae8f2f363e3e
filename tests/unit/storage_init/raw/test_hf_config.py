"""What Hugging Face model folders say of themselves, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import pytest
from msgspec import UNSET

from storage_init.base.errors import SourceError
from storage_init.format.package import (
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
DISTILBERT: Content = {
    "model_type": "distilbert",
    "architectures": ["DistilBertModel"],
    "dim": 768,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
}
ENCODER: Content = {**BERT, "architectures": ["BertModel"]}


def model(folder: Path, config: Content, **others: object) -> Path:
    """A model folder; ``__`` in a keyword is a slash, ``.json`` is added."""
    files = {"config": config, **others}
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    return folder


def classification(config: Content, folder: Path) -> TextClassification:
    task = read_facts(model(folder, config)).task
    assert isinstance(task, TextClassification)
    return task


def refusal(folder: Path, task: TaskName = "auto", max_length: int | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        read_facts(folder, task, max_length)
    return str(caught.value)


def test_a_roberta_classifier(tmp_path: Path) -> None:
    facts = read_facts(model(tmp_path, ROBERTA))
    assert facts.model_type == "roberta"
    assert facts.task == TextClassification(
        labels=["negative", "neutral", "positive"], activation="softmax"
    )
    assert facts.pad_token_id == 1


def test_a_distilbert_embedder_is_pooled_by_its_mean(tmp_path: Path) -> None:
    facts = read_facts(model(tmp_path, DISTILBERT))
    assert facts.task == TextEmbedding(dimension=768, pooling="mean", normalize=False)
    assert facts.limits.max_length == 512


def test_labels_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    labels = {str(index): f"label {index}" for index in (10, 9, 2, 0, 1, 3, 4, 5, 6, 7, 8)}
    task = classification({**BERT, "id2label": labels}, tmp_path)
    assert task.labels == [f"label {index}" for index in range(11)]


def test_without_names_labels_are_numbered_as_transformers_does(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("architecture", ["BertForPreTraining", "LlamaForCausalLM"])
def test_another_architecture_is_refused_by_name_unless_the_recipe_names_a_task(
    tmp_path: Path, architecture: str
) -> None:
    folder = model(tmp_path, {**BERT, "architectures": [architecture]})
    message = refusal(folder)
    assert architecture in message
    assert "text-classification, text-embedding" in message
    assert isinstance(read_facts(folder, "text-embedding").task, TextEmbedding)
    assert isinstance(read_facts(folder, "text-classification").task, TextClassification)


def test_a_config_without_an_architecture_says_so(tmp_path: Path) -> None:
    assert "(none stated)" in refusal(model(tmp_path, {"model_type": "bert"}))


@pytest.mark.parametrize(
    ("config", "activation"),
    [
        pytest.param({"num_labels": 1}, "sigmoid", id="one label without a name"),
        pytest.param({"id2label": {"0": "LABEL_0"}}, "sigmoid", id="transformers' own name"),
        pytest.param(
            {
                "id2label": {"0": "relevant"},
                "sentence_transformers": {
                    "activation_fn": "torch.nn.modules.linear.Identity",
                    "version": "4.0.1",
                },
            },
            "none",
            id="sentence-transformers 4",
        ),
        pytest.param(
            {
                "num_labels": 1,
                "sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity",
            },
            "none",
            id="sentence-transformers 3",
        ),
    ],
)
def test_a_classifier_of_one_score_is_a_cross_encoder(
    tmp_path: Path, config: Content, activation: Literal["sigmoid", "none"]
) -> None:
    task = read_facts(model(tmp_path, {**BERT, **config})).task
    assert task == TextRanking(activation=activation)


def test_a_recipe_may_take_a_named_label_for_a_score(tmp_path: Path) -> None:
    folder = model(tmp_path, {**BERT, "id2label": {"0": "relevant"}})
    assert isinstance(read_facts(folder).task, TextClassification)
    assert read_facts(folder, "text-ranking").task == TextRanking(activation="sigmoid")


def test_a_cross_encoder_of_several_labels_is_refused(tmp_path: Path) -> None:
    assert "has 2 labels; text-ranking needs one" in refusal(model(tmp_path, BERT), "text-ranking")


def test_a_folder_may_say_that_it_is_a_cross_encoder(tmp_path: Path) -> None:
    config = {**BERT, "id2label": {"0": "relevant"}}
    settings = {"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.linear.Identity"}
    transformer = {"idx": 0, "name": "0", "path": "", "type": "x.Transformer"}
    folder = model(tmp_path, config, modules=[transformer], config_sentence_transformers=settings)
    assert read_facts(folder).task == TextRanking(activation="none")


def test_modules_say_that_it_is_an_embedder_whatever_the_architecture(tmp_path: Path) -> None:
    task = read_facts(model(tmp_path, BERT, modules=[])).task
    assert task == TextEmbedding(dimension=384, pooling="mean", normalize=False)


def test_an_embedder_of_unknown_size_is_refused(tmp_path: Path) -> None:
    folder = model(tmp_path, {"architectures": ["BertModel"]})
    assert refusal(folder) == f"{folder}/config.json states no hidden_size"


def test_a_folder_without_a_config_is_no_model(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith(f"{tmp_path} has no config.json")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b'{"hidden_size": "384"}', id="wrong type"),
        pytest.param(b'{"model_type": "\xff"}', id="no UTF-8"),
        pytest.param(b'{"x":' + b"[" * 100_000, id="too deep"),
        pytest.param(
            b'{"architectures":["BertForSequenceClassification"],"id2label":{"a":"b"}}',
            id="label numbers that are none",
        ),
    ],
)
def test_a_config_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    assert f"{tmp_path}/config.json" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("config", "others", "length"),
    [
        pytest.param(BERT, {}, 512, id="positions of the model"),
        pytest.param(ROBERTA, {}, 512, id="RoBERTa keeps two positions"),
        pytest.param(
            {**ROBERTA, "model_type": "data2vec-text"}, {}, 512, id="and so do those made from it"
        ),
        pytest.param(
            {**BERT, "model_type": "big_bird", "max_position_embeddings": 4096},
            {},
            704,
            id="BigBird's attention is full for so many",
        ),
        pytest.param(
            {**BERT, "model_type": "big_bird", "attention_type": "original_full"},
            {},
            512,
            id="or for all",
        ),
        pytest.param({**ROBERTA, "pad_token_id": 0}, {}, 513, id="RoBERTa with padding 0"),
        pytest.param({**BERT, "pad_token_id": 3}, {}, 512, id="BERT counts from 0 in any case"),
        pytest.param(
            BERT, {"sentence_bert_config": {"max_seq_length": 256}}, 256, id="sentence-transformers"
        ),
        pytest.param(
            BERT, {"sentence_bert_config": {"max_seq_length": 1024}}, 512, id="no more than it has"
        ),
        pytest.param(
            BERT, {"sentence_bert_config": {"max_seq_length": None}}, 512, id="an unset length"
        ),
        pytest.param(BERT, {"tokenizer_config": {"model_max_length": 128}}, 128, id="tokenizer"),
        pytest.param(
            BERT, {"tokenizer_config": {"model_max_length": int(1e30)}}, 512, id="no real limit"
        ),
        pytest.param(
            {"architectures": ["BertForSequenceClassification"]}, {}, 512, id="nothing stated"
        ),
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


def test_a_tagger_has_the_labels_of_its_tokens(tmp_path: Path) -> None:
    config = {**ROBERTA, "architectures": ["RobertaForTokenClassification"]}
    facts = read_facts(model(tmp_path, config))
    assert facts.task == TokenClassification(labels=["negative", "neutral", "positive"])
    assert facts.limits.max_length == 512


@pytest.mark.parametrize(
    ("positions", "length", "stride"), [(512, 384, 128), (64, 64, 32), (300, 300, 128)]
)
def test_a_readers_windows_are_those_of_transformers_pipeline(
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
def test_the_mask_to_fill_is_read_in_both_forms(tmp_path: Path, file: str, stated: Content) -> None:
    config = {**BERT, "architectures": ["BertForMaskedLM"]}
    assert read_facts(model(tmp_path, config, **{file: stated})).task == FillMask(mask_token="<m>")


@pytest.mark.parametrize(("stated", "wanted"), [(True, True), (False, UNSET), (None, UNSET)])
def test_whether_decoded_text_loses_spaces_is_read(
    tmp_path: Path, stated: bool | None, wanted: Any
) -> None:
    tokenizer = {"mask_token": "<m>", "clean_up_tokenization_spaces": stated}
    config = {**BERT, "architectures": ["BertForMaskedLM"]}
    facts = read_facts(model(tmp_path, config, tokenizer_config=tokenizer))
    assert facts.task == FillMask(mask_token="<m>", clean_up_spaces=wanted)


@pytest.mark.parametrize("name", ["hidden_size", "dim", "emb_dim", "d_model"])
def test_the_width_of_vectors_has_several_names(tmp_path: Path, name: str) -> None:
    config = {"model_type": "xlm", "architectures": ["XLMModel"], name: 24}
    task = read_facts(model(tmp_path, config)).task
    assert isinstance(task, TextEmbedding)
    assert task.dimension == 24


@pytest.mark.parametrize(
    ("architecture", "task"),
    [("XLMWithLMHeadModel", FillMask), ("FlaubertForQuestionAnsweringSimple", QuestionAnswering)],
)
def test_tasks_of_unusual_names_are_known(tmp_path: Path, architecture: str, task: type) -> None:
    config = {**BERT, "architectures": [architecture]}
    folder = model(tmp_path, config, tokenizer_config={"mask_token": "<m>"})
    assert isinstance(read_facts(folder).task, task)


def test_a_model_without_a_mask_has_nothing_to_fill(tmp_path: Path) -> None:
    folder = model(tmp_path, {**BERT, "architectures": ["BertForMaskedLM"]}, tokenizer_config={})
    assert refusal(folder).endswith("tokenizer_config.json states no mask_token to fill")
