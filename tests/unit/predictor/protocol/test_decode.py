"""V2 tensors to texts and tokens, and the errors of wrong ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from predictor.errors import InvalidRequestError
from predictor.protocol import decode as codec
from predictor.protocol.messages import InputTensor, Request, TextInputs
from predictor.protocol.parameters import Parameters
from predictor.protocol.types import Texts, Tokens
from tests.support.models.models import MAX_POSITIONS, VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from predictor.engine.engine import Engine

TEXTS = ["good", "ça va 😀", ""]
PAIRS = TextInputs(second="text_pair")
OUTPUTS = {"label": np.zeros(1), "score": np.ones(1), "probabilities": np.ones((1, 2))}


def text_input(
    values: Sequence[str], shape: list[int] | None = None, name: str = "text"
) -> InputTensor:
    return InputTensor(name, "BYTES", [len(values)] if shape is None else shape, values)


def tensor(name: str, rows: Any, shape: list[int] | None = None) -> InputTensor:
    array = np.array(rows, dtype=np.int64)
    return InputTensor(name, "INT64", list(array.shape) if shape is None else shape, array.ravel())


def tensors(ids: list[list[int]], **others: list[list[int]]) -> list[InputTensor]:
    """``input_ids`` and a mask of ones, or what ``others`` names."""
    named = {"input_ids": ids, "attention_mask": [[1] * len(row) for row in ids], **others}
    return [tensor(name, rows) for name, rows in named.items()]


def decode_texts(*inputs: InputTensor, names: TextInputs = PAIRS, truncation: bool = True) -> Texts:
    return codec.decode_texts(Request(inputs, Parameters(truncation=truncation)), names)


def decode_tensors(engine: Engine, *inputs: InputTensor) -> list[Tokens]:
    return codec.decode_tensors(Request(inputs, Parameters()), engine)


def plain(tokens: Tokens) -> tuple[list[int], list[int] | None, list[int] | None]:
    return (
        list(tokens.ids),
        None if tokens.types is None else list(tokens.types),
        None if tokens.mask is None else tokens.mask.tolist(),
    )


def test_an_id_that_the_answer_would_repeat_has_a_limit() -> None:
    codec.check_id(Request([], Parameters(), id="x" * 1024))
    with pytest.raises(InvalidRequestError, match="the id has 1025 characters, more than 1024"):
        codec.check_id(Request([], Parameters(), id="x" * 1025))


def test_a_shape_of_many_large_numbers_is_refused_at_once() -> None:
    with pytest.raises(InvalidRequestError, match="its data does not fit"):
        decode_texts(text_input(TEXTS, [10**4000] * 10_000))


@pytest.mark.parametrize("shape", [[3], [3, 1]], ids=["[N]", "[N, 1]"])
def test_texts_are_a_row_or_a_column_under_any_name(shape: list[int]) -> None:
    assert decode_texts(text_input(TEXTS, shape, "anything")) == Texts(TEXTS)


def test_pairs_are_recognised_by_name_in_any_order() -> None:
    pair, first = text_input(["b", "d"], name="text_pair"), text_input(["a", "c"], [2, 1])
    assert decode_texts(pair, first) == Texts(["a", "c"], ["b", "d"])
    assert decode_texts(first, pair, truncation=False) == Texts(["a", "c"], ["b", "d"], False)


@pytest.mark.parametrize(
    ("tensor", "complaint"),
    [
        (
            text_input(["a", "b"], [1, 2]),
            "must have shape [N] or [N, 1] with N from 1 up, not [1, 2]",
        ),
        (text_input(["a"], [1, 1, 1]), "not [1, 1, 1]"),
        (text_input([], [0]), "not [0]"),
        (text_input(["a"], []), "not []"),
        (text_input(["a"], [2]), "its data does not fit BYTES [2] (it has 1 values)"),
        (text_input(["a"], [-1]), "its data does not fit BYTES [-1]"),
        (text_input(["a"], [-1, -1]), "its data does not fit BYTES [-1, -1]"),
    ],
)
def test_texts_of_another_shape_are_refused_by_name(tensor: InputTensor, complaint: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        decode_texts(tensor)
    assert str(refused.value).startswith("input text")
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("inputs", "names", "complaint"),
    [
        ([text_input(["a"]), text_input(["b"], name="other")], PAIRS, "but got text, other"),
        ([text_input(["a"], name="text_pair")], PAIRS, "but got text_pair"),
        (
            [text_input(["a", "b"]), text_input(["c"], name="text_pair")],
            PAIRS,
            "2 texts, but 1 in text_pair",
        ),
        (
            [text_input(["a"]), text_input(["b"], name="text_pair")],
            TextInputs(),
            "single texts, no text_pair",
        ),
    ],
)
def test_inputs_that_make_no_pairs_are_refused(
    inputs: list[InputTensor], names: TextInputs, complaint: str
) -> None:
    with pytest.raises(InvalidRequestError, match=complaint):
        decode_texts(*inputs, names=names)


RANKING = TextInputs("query", "document", both=True, one_for_all=True)


def test_one_query_is_paired_with_every_document() -> None:
    documents = text_input(["a", "b", "c"], name="document")
    assert decode_texts(text_input(["q"], name="query"), documents, names=RANKING) == Texts(
        ["q"] * 3, ["a", "b", "c"]
    )
    every = text_input(["q", "r", "s"], name="query")
    assert decode_texts(every, documents, names=RANKING).texts == ["q", "r", "s"]
    with pytest.raises(InvalidRequestError, match="2 texts, but 3 in document"):
        decode_texts(text_input(["q", "r"], name="query"), documents, names=RANKING)


def test_token_ids_of_unequal_length_are_texts(classifier_engine: Engine) -> None:
    one, two = codec.decode_token_ids([[2, 5, 3], [2, 3]], classifier_engine)
    assert (list(one.ids), list(two.ids)) == ([2, 5, 3], [2, 3])
    assert one.mask is one.types is None


@pytest.mark.parametrize(
    "row", [[2, 10**6, 3], [2, -1, 3], [2, 2**64, 3], [2, *[1] * 63, 3], [5, 3], [2, 5]]
)
def test_token_ids_that_the_model_cannot_take_are_refused(
    classifier_engine: Engine, row: list[int]
) -> None:
    with pytest.raises(InvalidRequestError):
        codec.decode_token_ids([[2, 3], row], classifier_engine)


def test_a_request_holds_either_texts_or_tensors() -> None:
    assert codec.is_text(Request([text_input(["a"]), text_input(["b"])], Parameters()))
    assert not codec.is_text(Request(tensors([[1]]), Parameters()))
    for inputs in ([], [text_input(["a"]), *tensors([[1]])]):
        with pytest.raises(InvalidRequestError, match="either BYTES texts or INT64 tensors"):
            codec.is_text(Request(inputs, Parameters()))


def test_each_row_of_tensors_is_a_text_without_its_padding(
    classifier_engine: Engine,
) -> None:
    ids, mask, types = [[2, 9, 3], [2, 3, 0]], [[1, 1, 1], [1, 1, 0]], [[0, 1, 1], [0, 0, 0]]
    rows = decode_tensors(
        classifier_engine, *tensors(ids, attention_mask=mask, token_type_ids=types)
    )
    assert [plain(row) for row in rows] == [
        ([2, 9, 3], [0, 1, 1], [1, 1, 1]),
        ([2, 3], [0, 0], [1, 1]),
    ]


def test_holes_in_a_mask_and_rows_of_padding_are_kept(classifier_engine: Engine) -> None:
    ids, mask = [[2, 9, 8, 3, 0], [0] * 5], [[0, 1, 0, 1, 0], [0] * 5]
    rows = decode_tensors(classifier_engine, *tensors(ids, attention_mask=mask))
    assert [plain(row) for row in rows] == [
        ([2, 9, 8, 3], None, [0, 1, 0, 1]),
        ([0], None, [0]),
    ]
    assert np.isfinite(classifier_engine.run(rows)).all()


def test_tensors_give_the_rows_of_the_texts_they_come_from(classifier_engine: Engine) -> None:
    texts = Texts(["the film was good", "bad", "i would never watch this again"])
    (tokens,) = classifier_engine.tokenize([texts])
    assert isinstance(tokens, list)
    feeds = classifier_engine.tokenizer.feeds(
        classifier_engine.tokenizer.encode(texts.texts), classifier_engine.inputs
    )
    rows = decode_tensors(
        classifier_engine, *(tensor(name, array) for name, array in feeds.items())
    )
    np.testing.assert_allclose(
        classifier_engine.run(rows), classifier_engine.run(tokens), atol=1e-5
    )


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        (
            tensors([[2]], position_ids=[[0]]),
            "unknown input position_ids; the model takes input_ids",
        ),
        ([InputTensor("input_ids", "INT32", [1, 1], None)], "must be INT64, not INT32"),
        (tensors([[2]])[:1], "input attention_mask is missing"),
        (tensors([[2]])[1:], "input input_ids is missing"),
        ([*tensors([[2]]), *tensors([[3]])], "input input_ids is given twice"),
        (tensors([[2, 3]], attention_mask=[[1]]), "input_ids [1, 2], attention_mask [1, 1]"),
        (tensors([[2, 3]], token_type_ids=[[0]]), "token_type_ids [1, 1]"),
        ([tensor(n, [2, 9, 3]) for n in ("input_ids", "attention_mask")], "not [3]"),
        (
            [tensor(n, [], [0, 3]) for n in ("input_ids", "attention_mask")],
            "N and L from 1 up, not input_ids [0, 3]",
        ),
        (
            [tensor(n, [], [1, 0]) for n in ("input_ids", "attention_mask")],
            "N and L from 1 up, not input_ids [1, 0]",
        ),
        (
            [tensor(n, [2, 3], [-1, -2]) for n in ("input_ids", "attention_mask")],
            "does not fit INT64 [-1, -2]",
        ),
        ([tensor("input_ids", [2], [1, 2])], "does not fit INT64 [1, 2] (it has 1 values)"),
        ([tensor("input_ids", [2, 3, 4], [1, 2])], "does not fit INT64 [1, 2] (it has 3 values)"),
        (tensors([[2] * (MAX_POSITIONS + 1)]), "65 tokens are more than the model's 64"),
        (tensors([[2, 3]], attention_mask=[[1, 2]]), "attention_mask must hold 0 and 1 only"),
        (tensors([[2, 3]], attention_mask=[[1, -1]]), "attention_mask must hold 0 and 1 only"),
        (tensors([[2, 3]], token_type_ids=[[0, -1]]), "token_type_ids must be 0 or above"),
        (tensors([[2, -1]]), f"input_ids must lie between 0 and {len(VOCABULARY) - 1}"),
        (tensors([[len(VOCABULARY)]]), f"input_ids must lie between 0 and {len(VOCABULARY) - 1}"),
    ],
)
def test_tensors_that_the_graph_cannot_take_are_refused(
    inputs: list[InputTensor], complaint: str, classifier_engine: Engine
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        decode_tensors(classifier_engine, *inputs)
    assert complaint in str(refused.value)


def test_the_longest_tensors_of_the_largest_id_are_accepted(classifier_engine: Engine) -> None:
    longest = [len(VOCABULARY) - 1] * MAX_POSITIONS
    (row,) = decode_tensors(classifier_engine, *tensors([longest]))
    assert list(row.ids) == longest


def test_a_request_receives_the_outputs_that_it_names_or_all() -> None:
    known = [*OUTPUTS, "logits"]
    named = codec.select_outputs(["probabilities", "label"], OUTPUTS, known)
    assert list(named) == ["probabilities", "label"]
    assert codec.select_outputs([], OUTPUTS, known) == OUTPUTS
    # perf_analyzer asks for all outputs of the metadata, those for tensors included.
    assert list(codec.select_outputs(["label", "logits"], OUTPUTS, known)) == ["label"]
    for wrong in (["logits"], ["label", "other"]):
        with pytest.raises(InvalidRequestError, match=f"unknown output {wrong[-1]}; there are lab"):
            codec.select_outputs(wrong, OUTPUTS, known)
