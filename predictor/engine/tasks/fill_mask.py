"""fill-mask: the likeliest tokens in place of a text's masks.

V2 outputs, for M masks in the text that has most of them and K tokens a mask, best first:
``token_str`` BYTES, ``token`` INT64 (its id), ``score`` FP32 and ``sequence`` BYTES (the text with
that mask filled), [N, M, K] each. Texts with fewer masks are filled up with "", -1 and 0. V1
prediction: as transformers' pipeline, a list of ``{"score", "token", "token_str", "sequence"}``, or
for several masks a list of such lists. Every mask is filled by itself, the others left as they are.
Tensors are answered with ``logits`` FP32 [N, L, V] of every token.

Parameters: ``top_k`` (5), of which a text may have a thousand over all its masks; ``targets``:
choose among these tokens only. One that is not in the vocabulary stands for its first token.

Source: transformers, ``FillMaskPipeline``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from predictor.engine.tasks.base import TokenTask, objects
from predictor.engine.tasks.words import cleaned
from predictor.errors import InvalidRequestError
from storage_init.base.errors import PackageError
from storage_init.running.activations import probabilities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Texts, TokenRows
    from storage_init.format.package import FillMask
    from storage_init.running.runtime import Tokenizer

TOP_K = 5
MAX_FILLS = 1000


class _Fills(NamedTuple):
    """Of one text, [M, K] each."""

    token_str: NDArray[Any]
    token: NDArray[np.int64]
    score: NDArray[np.float32]
    sequence: NDArray[Any]


class FillMaskTask(TokenTask):
    def __init__(self, task: FillMask, tokenizer: Tokenizer) -> None:
        self.mask = task.mask_token
        self._read = cleaned if task.clean_up_spaces else str
        self._tokenizer = tokenizer.model
        self._mask_id = self._tokenizer.token_to_id(self.mask)
        if self._mask_id is None:
            raise PackageError(f"the tokenizer has no token {self.mask} to fill")

    @property
    def output_types(self) -> list[dict[str, Any]]:
        types = {"token_str": "BYTES", "token": "INT64", "score": "FP32", "sequence": "BYTES"}
        return [
            *({"name": n, "datatype": t, "shape": [-1, -1, -1]} for n, t in types.items()),
            {"name": "logits", "datatype": "FP32", "shape": [-1, -1, -1]},
        ]

    def ask(self, texts: Texts, parameters: Parameters) -> Texts:
        self._targets(parameters)
        for index, text in enumerate(texts.texts):
            if self.mask not in text:
                raise InvalidRequestError(f"text {index} has no {self.mask} to fill")
        return texts

    def kept(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.flatnonzero(ids == self._mask_id)

    def answer(
        self,
        texts: Texts,  # noqa: ARG002
        rows: NDArray[Any],
        parameters: Parameters,
    ) -> dict[str, NDArray[Any]]:
        targets = self._targets(parameters)
        count = parameters.top_k or TOP_K
        fills = [self._fills(index, row, count, targets) for index, row in enumerate(rows)]
        masks = max(len(each.token) for each in fills)
        empty: dict[str, Any] = {"token_str": b"", "token": -1, "score": 0, "sequence": b""}
        return {
            name: np.stack([_padded(getattr(each, name), masks, fill) for each in fills])
            for name, fill in empty.items()
        }

    def predictions(self, outputs: Mapping[str, NDArray[Any]]) -> list[Any]:
        predictions: list[Any] = []
        for text, tokens in enumerate(outputs["token"]):
            names = ("score", "token", "token_str", "sequence")
            masks = [
                objects({name: outputs[name][text, mask] for name in names})
                for mask in np.flatnonzero(tokens[:, 0] >= 0)
            ]
            predictions.append(masks[0] if len(masks) == 1 else masks)
        return predictions

    def _targets(self, parameters: Parameters) -> NDArray[np.int64] | None:
        """The ids to choose among; None for all."""
        given = parameters.texts("targets")
        if given is None:
            return None
        ids = [self._tokenizer.token_to_id(target) for target in given]
        for index, target in enumerate(given):
            if ids[index] is None:
                pieces = self._tokenizer.encode(target, add_special_tokens=False).ids
                ids[index] = pieces[0] if pieces else None
        known = sorted({each for each in ids if each is not None})
        if not known:
            raise InvalidRequestError("parameter targets holds no token of the vocabulary")
        return np.array(known, dtype=np.int64)

    def _fills(
        self, index: int, row: TokenRows, count: int, targets: NDArray[np.int64] | None
    ) -> _Fills:
        masks, size = row.values.shape
        if not masks:
            raise InvalidRequestError(
                f"the {self.mask} of text {index} was cut off: it is too long"
            )
        count = min(count, size if targets is None else len(targets))
        if masks * count > MAX_FILLS:
            raise InvalidRequestError(
                f"text {index} has {masks} masks; with top_k {count} these are more than "
                f"{MAX_FILLS} answers"
            )
        scores = probabilities(row.values, "softmax")
        if targets is not None:
            scores = scores[:, targets]
        best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        top = np.take_along_axis(scores, best, axis=1)
        order = np.argsort(-top, axis=1, kind="stable")
        best, top = np.take_along_axis(best, order, axis=1), np.take_along_axis(top, order, axis=1)
        tokens = best if targets is None else targets[best]
        words = [self._tokenizer.decode([t], skip_special_tokens=False) for t in tokens.ravel()]
        return _Fills(
            self._bytes(words).reshape(tokens.shape),
            tokens.astype(np.int64),
            top,
            self._bytes(self._sequences(row, tokens)).reshape(tokens.shape),
        )

    def _sequences(self, row: TokenRows, tokens: NDArray[np.int64]) -> list[str]:
        """The text with one mask filled, for each mask and token."""
        ids = np.asarray(row.tokens.ids)
        places = np.flatnonzero(ids == self._mask_id)
        filled = []
        for place, choices in zip(places, tokens, strict=True):
            for token in choices:
                ids[place] = token
                filled.append(ids.tolist())
            ids[place] = self._mask_id
        # Masks that are left are special tokens, too.
        alone = len(places) == 1
        sequences: list[str] = self._tokenizer.decode_batch(filled, skip_special_tokens=alone)
        return sequences

    def _bytes(self, texts: list[str]) -> NDArray[Any]:
        array = np.empty(len(texts), dtype=np.object_)
        array[:] = [self._read(text).encode() for text in texts]
        return array


def _padded(values: NDArray[Any], masks: int, fill: Any) -> NDArray[Any]:
    """[M, K] as [``masks``, K]."""
    return np.pad(values, ((0, masks - len(values)), (0, 0)), constant_values=fill)
