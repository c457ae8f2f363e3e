"""Evaluation data: the user's own sentences, perhaps with labels, from JSONL, CSV or TSV."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.recipe.reading import RecipeError, read_text
from storage_init.format.tasks import TextClassification

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.recipe.recipe import EvalData, Example
    from storage_init.format.tasks import Task

FIELDS = ("text", "text_pair", "label")
DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")


class EvalDataError(RecipeError):
    """Evaluation data cannot be read, or does not fit the model."""


@dataclass(frozen=True)
class Examples:
    """Texts, or texts and their pairs; ``labels`` are indexes of the task's labels, if given."""

    texts: list[Example]
    labels: list[int] | None


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row as the file states it; a label is a name or an index."""

    text: str
    text_pair: str | None = None
    label: str | int | None = None


def read_examples(data: EvalData, task: Task) -> Examples | None:
    """Read the recipe's evaluation data, None if it has none.

    Raises:
        EvalDataError: names the file, the line and the mistake.
    """
    if data.path is None:
        return None
    path = Path(data.path)
    rows = list(_rows(path))
    if not rows:
        raise EvalDataError(f"evaluation data {path} has no line")
    first_line, first = rows[0]
    for line, row in rows:
        for field in ("text_pair", "label"):
            if (getattr(row, field) is None) != (getattr(first, field) is None):
                raise EvalDataError(
                    f"{path}:{line}: {field}: either all lines have one or none has; line "
                    f"{first_line} {'has none' if getattr(first, field) is None else 'has one'}"
                )
    labels = None
    if first.label is not None:
        labels = [_label(row.label, task, f"{path}:{line}") for line, row in rows]
    texts = [row.text if row.text_pair is None else (row.text, row.text_pair) for _, row in rows]
    return Examples(texts, labels)


def _rows(path: Path) -> Iterator[tuple[int, _Row]]:
    """Every row with the line it begins on."""
    suffix = path.suffix.lower()
    if suffix not in (*JSON_LINES, *DELIMITERS):
        raise EvalDataError(f"evaluation data {path} is neither .jsonl nor .csv nor .tsv")
    text = read_text(path, "evaluation data", EvalDataError)
    delimiter = DELIMITERS.get(suffix)
    lines = _table(text, path, delimiter) if delimiter else _json_lines(text, path)
    for line, fields in lines:
        try:
            row = msgspec.convert(fields, _Row)
        except msgspec.ValidationError as error:
            why = f"{path}:{line}: {error} (fields are {', '.join(FIELDS)})"
            raise EvalDataError(why) from error
        yield line, row


def _json_lines(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    # Not splitlines: it also splits at characters that JSON allows inside a text.
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        try:
            yield line, msgspec.json.decode(content)
        except msgspec.DecodeError as error:
            raise EvalDataError(f"{path}:{line}: not JSON: {error}") from error


def _table(text: str, path: Path, delimiter: str) -> Iterator[tuple[int, Any]]:
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    header: list[str] = []
    line = 1
    try:
        for cells in reader:
            if not header:
                header = cells
                _check_header(header, f"{path}:{line}")
            elif cells:
                if len(cells) != len(header):
                    raise EvalDataError(
                        f"{path}:{line}: {len(cells)} fields, but the header has {len(header)}: is "
                        "one with a comma or a line break in it not quoted?"
                    )
                # An empty cell is a missing field, except that a text may be empty.
                filled = zip(header, cells, strict=True)
                yield line, {name: cell for name, cell in filled if cell or name == "text"}
            line = reader.line_num + 1
    except csv.Error as error:
        raise EvalDataError(f"{path}:{line}: {error}") from error


def _check_header(header: list[str], where: str) -> None:
    unknown = [name for name in header if name not in FIELDS]
    if unknown or "text" not in header or len(set(header)) != len(header):
        raise EvalDataError(
            f"{where}: the header names {', '.join(header)}; it must name text, may name text_pair "
            "and label, each once, and nothing else"
        )


def _label(label: str | int | None, task: Task, where: str) -> int:
    """The index of a label; a text that is a label's name is not read as an index."""
    if not isinstance(task, TextClassification) or task.activation != "softmax":
        raise EvalDataError(
            f"{where}: label: only classifiers of one label a text are held to labels; leave it out"
        )
    names = task.labels
    if isinstance(label, str) and label in names:
        return names.index(label)
    index = int(str(label)) if str(label).isdecimal() else -1
    if not 0 <= index < len(names):
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        raise EvalDataError(
            f"{where}: label: {label} is none of the model's: {shown}, or 0 to {len(names) - 1}"
        )
    return index
