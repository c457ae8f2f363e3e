"""Evaluation data as people write it, and the errors for every mistake in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.recipe.eval_data import EvalDataError, Examples, read_examples
from pipeline.recipe.recipe import EvalData
from storage_init.format.tasks import TextClassification, TextEmbedding

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = TextClassification(labels=["no", "yes", "1"], activation="softmax")
VECTORS = TextEmbedding(dimension=2, pooling="mean", normalize=True)


def read(
    folder: Path, name: str, text: str, task: TextClassification | TextEmbedding = CLASSES
) -> Examples:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    examples = read_examples(EvalData(str(path)), task)
    assert examples is not None
    return examples


def test_json_lines_have_labels_by_name_or_by_index(tmp_path: Path) -> None:
    assert read_examples(EvalData(), CLASSES) is None
    text = (
        '{"text": "good\\u2028film", "label": "yes"}\n\n{"label": 0, "text": "ça va"}\r\n'
        # A text that is a name is not read as an index.
        '{"text": "", "label": "1"}\n{"text": "x", "label": 1}'
    )
    examples = read(tmp_path, "mine.jsonl", text)
    assert examples == Examples(["good\u2028film", "ça va", "", "x"], [1, 0, 2, 1])


def test_a_table_may_have_quotes_line_breaks_and_a_byte_order_mark(tmp_path: Path) -> None:
    text = '\ufefflabel,text\r\nyes,"good, or\nso ""good"""\r\n\r\n0,bad\r\n'
    examples = read(tmp_path, "mine.CSV", text)
    assert examples == Examples(['good, or\nso "good"', "bad"], [1, 0])


def test_a_tab_separated_table_may_have_pairs_and_no_labels(tmp_path: Path) -> None:
    examples = read(tmp_path, "mine.tsv", "text\ttext_pair\nwho, me?\tyou\n", VECTORS)
    assert examples == Examples([("who, me?", "you")], None)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("m.jsonl", '{"text": "a"}\n{"text": 3}', ":2: Expected `str`, got `int` - at `$.text`"),
        ("m.jsonl", '{"text": "a"}\n{"txt": "b"}', ":2: Object contains unknown field `txt`"),
        ("m.jsonl", '{"label": 1}', ":1: Object missing required field `text` (fields are text,"),
        ("m.jsonl", '{"text": "a"}\n\n{"text": "b"', ":3: not JSON: Input data was truncated"),
        ("m.jsonl", '["a"]', ":1: Expected `object`, got `array`"),
        ("m.jsonl", "", " has no line"),
        (
            "m.jsonl",
            '{"text": "a", "label": 0}\n{"text": "b"}',
            ":2: label: either all lines have one or none has; line 1 has one",
        ),
        (
            "m.jsonl",
            '{"text": "a"}\n{"text": "b", "text_pair": "c"}',
            ":2: text_pair: either all lines have one or none has; line 1 has none",
        ),
        ("m.jsonl", '{"text": "a", "label": 3}', ":1: label: 3 is none of the model's: no, yes, 1"),
        ("m.jsonl", '{"text": "a", "label": "maybe"}', ":1: label: maybe is none of the model's"),
        ("m.jsonl", '{"text": "a", "label": true}', ":1: Expected `int | str | null`, got `bool`"),
        ("m.csv", "text\na\nb,c\n", ":3: 2 fields, but the header has 1: is one with a comma"),
        ("m.csv", "a film\nanother\n", ":1: the header names a film; it must name text"),
        ("m.csv", "text,text\na,b\n", ":1: the header names text, text; it must name text"),
        ("m.csv", 'text\n"a\n', ":2: unexpected end of data"),
        ("m.csv", 'text,label\na,yes\n"b\nc",maybe\n', ":3: label: maybe is none of"),
        ("m.txt", "a", "m.txt is neither .jsonl nor .csv nor .tsv"),
    ],
)
def test_the_error_for_a_mistake_names_its_line(
    tmp_path: Path, name: str, text: str, problem: str
) -> None:
    with pytest.raises(EvalDataError) as refused:
        read(tmp_path, name, text)
    assert str(tmp_path / name) in str(refused.value)
    assert problem in str(refused.value)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_bytes(b'{"text": "\xff"}')
    with pytest.raises(EvalDataError, match=r"m\.jsonl is not UTF-8"):
        read_examples(EvalData(str(tmp_path / "m.jsonl")), CLASSES)
    with pytest.raises(EvalDataError, match=r"none\.tsv cannot be read: No such file"):
        read_examples(EvalData(str(tmp_path / "none.tsv")), CLASSES)


@pytest.mark.parametrize(
    "task", [VECTORS, TextClassification(labels=["a", "b"], activation="sigmoid")]
)
def test_only_classifiers_of_one_label_take_labels(
    tmp_path: Path, task: TextClassification | TextEmbedding
) -> None:
    with pytest.raises(EvalDataError, match=r":1: label: only classifiers of one label a text"):
        read(tmp_path, "m.jsonl", '{"text": "a", "label": 0}', task)
