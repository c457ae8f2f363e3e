"""fill-mask: the likeliest tokens in place of a text's masks.

V2 outputs, for M masks in the text that has most of them and K tokens per mask, best first:
``token_str`` BYTES, ``token`` INT64 (its id), ``score`` FP32 and ``sequence`` BYTES (the text with
that mask filled), [N, M, K] each. Texts with fewer masks are padded with "", -1 and 0. V1
prediction: as transformers' pipeline, a list of ``{"score", "token", "token_str", "sequence"}``, or
for several masks a list of such lists. Each mask is filled on its own, the others stay. Tensors are
answered with ``logits`` FP32 [N, L, V] of every token.

Parameters: ``top_k`` (5), up to 1000 tokens over all masks of a text; ``targets``: choose among
these tokens only. A target outside the vocabulary stands for its first token.

Source: transformers, ``FillMaskPipeline``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from predictor.engine.tasks.base import TokenTask, encoded, objects, output_type
from predictor.engine.tasks.words import remove_spaces
from predictor.errors import InvalidRequestError
from storage_init.base.errors import PackageError
from storage_init.running.activations import probabilities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Integers, Outputs, Rows, Texts, TokenRows
    from storage_init.format.tasks import FillMask
    from storage_init.running.tokenizer import Tokenizer

TOP_K = 5
MAX_FILLS = 1000
# Outputs, and what pads those of a text with fewer masks.
PADDING: dict[str, Any] = {"token_str": b"", "token": -1, "score": 0, "sequence": b""}


class FillMaskTask(TokenTask):
    def __init__(self, task: FillMask, tokenizer: Tokenizer) -> None:
        self.mask = task.mask_token
        self._clean_up = task.clean_up_spaces
        self._tokenizer = tokenizer.model
        self._mask_id = self._tokenizer.token_to_id(self.mask)
        if self._mask_id is None:
            raise PackageError(f"the tokenizer has no token {self.mask} to fill")
        self.output_types = [
            output_type("token_str", "BYTES", -1, -1, -1),
            output_type("token", "INT64", -1, -1, -1),
            output_type("score", "FP32", -1, -1, -1),
            output_type("sequence", "BYTES", -1, -1, -1),
            output_type("logits", "FP32", -1, -1, -1),
        ]

    def preprocess(self, texts: Texts, parameters: Parameters) -> Texts:
        self._targets(parameters)
        for index, text in enumerate(texts.texts):
            if self.mask not in text:
                raise InvalidRequestError(f"text {index} has no {self.mask} to fill")
        return texts

    def row_indices(self, ids: Integers) -> Integers:
        return np.flatnonzero(ids == self._mask_id)

    def postprocess(self, texts: Texts, rows: Rows, parameters: Parameters) -> Outputs:
        targets = self._targets(parameters)
        count = parameters.top_k or TOP_K
        fills = [self._fills(index, row, count, targets) for index, row in enumerate(rows)]
        masks = max(len(each["token"]) for each in fills)

        def padded(values: NDArray[Any], fill: Any) -> NDArray[Any]:
            return np.pad(values, ((0, masks - len(values)), (0, 0)), constant_values=fill)

        return {
            name: np.stack([padded(each[name], fill) for each in fills])
            for name, fill in PADDING.items()
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

    def _targets(self, parameters: Parameters) -> Integers | None:
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

    def _fills(self, index: int, row: TokenRows, count: int, targets: Integers | None) -> Outputs:
        """The outputs of one text, [M, K] each."""
        masks, size = row.values.shape
        if not masks:
            raise InvalidRequestError(
                f"the {self.mask} of text {index} was cut off: the text is too long"
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
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        tokens = best if targets is None else targets[best]
        ids: list[int] = tokens.ravel().tolist()
        words = [self._tokenizer.decode([each], skip_special_tokens=False) for each in ids]
        return {
            "token_str": self._encoded(words).reshape(tokens.shape),
            "token": tokens.astype(np.int64),
            "score": np.take_along_axis(scores, best, axis=1),
            "sequence": self._encoded(self._sequences(row, tokens)).reshape(tokens.shape),
        }

    def _sequences(self, row: TokenRows, tokens: Integers) -> list[str]:
        """The text with one mask filled, for each mask and token."""
        ids = np.asarray(row.tokens.ids)
        positions = self.row_indices(ids)
        filled = []
        for position, choices in zip(positions, tokens, strict=True):
            for token in choices:
                ids[position] = token
                filled.append(ids.tolist())
            ids[position] = self._mask_id
        # The other masks are special tokens, too: keep them in the text.
        alone = len(positions) == 1
        sequences: list[str] = self._tokenizer.decode_batch(filled, skip_special_tokens=alone)
        return sequences

    def _encoded(self, texts: list[str]) -> NDArray[Any]:
        return encoded([remove_spaces(text) for text in texts] if self._clean_up else texts)
