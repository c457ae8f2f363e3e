"""What tasks have in common: those whose answers are about texts, and about their tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from predictor.protocol.messages import TextInputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Texts


class _Plain:
    """A task that runs what it was asked and takes what the graph gives."""

    inputs = TextInputs()

    def ask(self, texts: Texts, parameters: Parameters) -> Texts:  # noqa: ARG002
        return texts

    def kept(self, ids: NDArray[np.int64]) -> NDArray[np.int64] | None:  # noqa: ARG002
        return None

    def reduce(self, output: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:  # noqa: ARG002
        return output


class TextTask(_Plain):
    """A task whose graph gives a row a text: [N, D], or [N, L, D] to be reduced to it."""

    per_token = False
    raw_name: str

    def raw(self, rows: NDArray[Any], length: int) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        return {self.raw_name: rows}

    def predictions(self, outputs: Mapping[str, NDArray[Any]]) -> list[Any]:
        return objects(outputs)


class TokenTask(_Plain):
    """A task whose graph gives a row a token, [N, L, C]; an answer's rows are ``TokenRows``."""

    per_token = True
    raw_names: Sequence[str] = ("logits",)

    def raw(self, rows: NDArray[Any], length: int) -> dict[str, NDArray[Any]]:
        """[N, L, C] with zeros where the request had padding; one output, or one for each of C."""
        count = rows[0].values.shape[1]
        padded = np.zeros((len(rows), length, count), dtype=np.float32)
        for target, row in zip(padded, rows, strict=True):
            target[: len(row.values)] = row.values
        if len(self.raw_names) == 1:
            return {self.raw_names[0]: padded}
        return {name: padded[:, :, index] for index, name in enumerate(self.raw_names)}


def objects(outputs: Mapping[str, NDArray[Any]]) -> list[dict[str, Any]]:
    """One object a row, with plain JSON values."""
    columns = {name: array.tolist() for name, array in outputs.items()}
    return [
        {name: _plain(value) for name, value in zip(columns, values, strict=True)}
        for values in zip(*columns.values(), strict=True)
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value
