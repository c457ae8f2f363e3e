"""The interface of a task, and what tasks on whole texts and on tokens have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from predictor.protocol.messages import TextInputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Integers, Outputs, Rows, Texts


class Task(ABC):
    """Turns a request's texts into model input, and the graph's rows into the response's outputs.

    Attributes:
        per_token: the rows are ``TokenRows`` instead of one vector per text.
        inputs: the names of the texts in a request.
        output_types: V2 metadata of the outputs for texts, then of those for tensors.
    """

    per_token: ClassVar[bool]
    inputs = TextInputs()
    output_types: list[dict[str, Any]]

    def preprocess(self, texts: Texts, parameters: Parameters) -> Texts:
        """The texts to run for the texts of a request.

        Raises:
            InvalidRequestError: a parameter of this task is wrong.
        """
        return texts

    def row_indices(self, ids: Integers) -> Integers | None:
        """Positions of the tokens whose rows ``postprocess`` reads; None for all."""
        return None

    def pool(self, output: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        """The graph's output for a batch as one row per text: [N, L, D] or [N, D] to [N, D]."""
        return output

    @abstractmethod
    def postprocess(self, texts: Texts, rows: Rows, parameters: Parameters) -> Outputs:
        """Named outputs for N texts, before ``preprocess``; the first dimension of each is N.

        Raises:
            InvalidRequestError: a parameter of this task does not fit the texts.
        """

    @abstractmethod
    def raw_outputs(self, rows: Rows, length: int) -> Outputs:
        """Named outputs for N rows of tensors of ``length`` tokens each, padding included."""

    def predictions(self, outputs: Mapping[str, NDArray[Any]]) -> list[Any]:
        """The V1 form of the outputs: one JSON value per text."""
        return objects(outputs)


class TextTask(Task):
    """A task whose graph returns one row per text, or token states that ``pool`` reduces to it."""

    per_token = False
    raw_name: str

    def raw_outputs(self, rows: Rows, length: int) -> Outputs:
        return {self.raw_name: rows}


class TokenTask(Task):
    """A task whose graph returns one row per token, [N, L, C]."""

    per_token = True
    raw_names: Sequence[str] = ("logits",)

    def raw_outputs(self, rows: Rows, length: int) -> Outputs:
        """[N, L, C], zeros in place of padding; as one output, or as one for each of the C."""
        count = rows[0].values.shape[1]
        padded = np.zeros((len(rows), length, count), dtype=np.float32)
        for target, row in zip(padded, rows, strict=True):
            target[: len(row.values)] = row.values
        if len(self.raw_names) == 1:
            return {self.raw_names[0]: padded}
        return {name: padded[:, :, index] for index, name in enumerate(self.raw_names)}


def output_type(name: str, datatype: str, *shape: int) -> dict[str, Any]:
    """V2 metadata of one output; -1 stands for a dimension of any size."""
    return {"name": name, "datatype": datatype, "shape": list(shape)}


def encoded(texts: Sequence[str]) -> NDArray[Any]:
    """The values of a BYTES output, [N]."""
    array = np.empty(len(texts), dtype=np.object_)
    array[:] = [text.encode() for text in texts]
    return array


def objects(outputs: Mapping[str, NDArray[Any]]) -> list[dict[str, Any]]:
    """One JSON object per row."""
    columns = {name: array.tolist() for name, array in outputs.items()}
    return [
        {name: _plain(value) for name, value in zip(columns, values, strict=True)}
        for values in zip(*columns.values(), strict=True)
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value
