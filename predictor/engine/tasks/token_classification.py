"""token-classification: labels for parts of a text, such as named entities.

V2 output: ``entities`` BYTES [N], a JSON list of any number of entities per text. V1 prediction:
the same list. An entity is an object as transformers' pipeline returns it: ``entity_group``,
``score``, ``word``, ``start``, ``end`` (characters of the text; ``end`` is the one past the last).
With ``aggregation_strategy`` "none" there is one per token, with ``entity`` in place of
``entity_group``, and ``index``, its position among the tokens. Tensors are answered with ``logits``
FP32 [N, L, C] of every token, zeros where the attention mask ends.

Parameters: ``aggregation_strategy`` simple (default), first, average, max or none;
``ignore_labels`` (O); ``stride``: run a long text in windows that share that many tokens, instead
of cutting it. Where entities of two windows overlap, the longer one stays; of equally long ones the
one with the higher score.

Source: transformers, ``TokenClassificationPipeline``, with its rules.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from predictor.engine.tasks.base import TokenTask, output_type
from predictor.engine.tasks.words import Token, Vocabulary
from predictor.errors import InvalidRequestError
from storage_init.running.activations import probabilities

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Outputs, Rows, Texts, TokenRows
    from storage_init.format.tasks import TokenClassification
    from storage_init.running.tokenizer import Tokenizer

    Entity = dict[str, Any]

STRATEGIES = ("simple", "first", "average", "max", "none")
IGNORED = ["O"]


class TokenClassificationTask(TokenTask):
    def __init__(self, task: TokenClassification, tokenizer: Tokenizer) -> None:
        self._labels = task.labels
        self.max_stride = tokenizer.max_length // 2
        self._vocabulary = Vocabulary(tokenizer)
        self.output_types = [
            output_type("entities", "BYTES", -1),
            output_type("logits", "FP32", -1, -1, len(task.labels)),
        ]

    def preprocess(self, texts: Texts, parameters: Parameters) -> Texts:
        strategy = parameters.choice("aggregation_strategy", STRATEGIES)
        parameters.texts("ignore_labels")
        stride = parameters.number("stride", least=0, most=self.max_stride)
        if stride is not None and strategy == "none":
            raise InvalidRequestError(
                "parameter stride needs an aggregation_strategy other than none: tokens of two "
                "windows cannot be merged"
            )
        return replace(texts, stride=stride)

    def postprocess(self, texts: Texts, rows: Rows, parameters: Parameters) -> Outputs:
        strategy = parameters.choice("aggregation_strategy", STRATEGIES)
        ignored = parameters.texts("ignore_labels") or IGNORED
        found: list[list[Entity]] = [[] for _ in texts.texts]
        windows = [0] * len(found)
        for row in rows:
            text = row.window.text
            entities = self._entities(texts.texts[text], row, strategy)
            found[text] += [entity for entity in entities if _label(entity) not in ignored]
            windows[text] += 1
        merged = [
            without_overlaps(entities) if count > 1 else entities
            for entities, count in zip(found, windows, strict=True)
        ]
        listed = np.empty(len(merged), dtype=np.object_)
        listed[:] = [orjson.dumps(entities) for entities in merged]
        return {"entities": listed}

    def predictions(self, outputs: Mapping[str, NDArray[Any]]) -> list[Any]:
        return [orjson.loads(entities) for entities in outputs["entities"]]

    def _entities(self, text: str, row: TokenRows, strategy: str) -> list[Entity]:
        scores = probabilities(row.values, "softmax")
        tokens = self._vocabulary.tokens(text, row.window)
        if strategy == "none":
            return [
                {
                    "entity": label,
                    "score": score,
                    "index": token.position,
                    "word": token.piece,
                    "start": token.start,
                    "end": token.end,
                }
                for token in tokens
                for label, score in [self._best(scores[token.position])]
            ]
        labelled = (
            [(token, *self._best(scores[token.position])) for token in tokens]
            if strategy == "simple"
            else [self._word(group, scores, strategy) for group in _words(tokens)]
        )
        return [self._merged(group) for group in _groups(labelled)]

    def _best(self, scores: NDArray[np.float32]) -> tuple[str, float]:
        best = int(scores.argmax())
        return self._labels[best], float(scores[best])

    def _word(
        self, group: Sequence[Token], scores: NDArray[np.float32], strategy: str
    ) -> tuple[Token, str, float]:
        """The tokens of a word as one token, its label and the label's score."""
        rows = scores[[token.position for token in group]]
        if strategy == "first":
            chosen = rows[0]
        elif strategy == "max":
            chosen = rows[rows.max(axis=1).argmax()]
        else:
            chosen = rows.mean(axis=0)
        word = self._vocabulary.text([token.piece for token in group])
        whole = replace(group[0], piece=word, end=group[-1].end)
        return whole, *self._best(chosen)

    def _merged(self, group: Sequence[tuple[Token, str, float]]) -> Entity:
        first, label, _ = group[0]
        return {
            "entity_group": label.split("-", 1)[-1],
            "score": float(np.mean([score for _, _, score in group])),
            "word": self._vocabulary.text([token.piece for token, _, _ in group]),
            "start": first.start,
            "end": group[-1][0].end,
        }


def without_overlaps(entities: Iterable[Entity]) -> list[Entity]:
    """The entities of windows that overlap, so that each part of the text is in one, in order."""
    kept: list[Entity] = []
    for entity in sorted(entities, key=lambda each: int(each["start"])):
        if not kept or not kept[-1]["start"] <= entity["start"] < kept[-1]["end"]:
            kept.append(entity)
        elif _weight(entity) > _weight(kept[-1]):
            kept[-1] = entity
    return kept


def _weight(entity: Entity) -> tuple[int, float]:
    return entity["end"] - entity["start"], entity["score"]


def _label(entity: Entity) -> str:
    return str(entity.get("entity", entity.get("entity_group")))


def _words(tokens: Sequence[Token]) -> list[list[Token]]:
    """Tokens grouped by word."""
    words: list[list[Token]] = []
    for token in tokens:
        if words and token.continues:
            words[-1].append(token)
        else:
            words.append([token])
    return words


def _groups(
    labelled: Iterable[tuple[Token, str, float]],
) -> list[list[tuple[Token, str, float]]]:
    """Neighbours of one kind; each B- starts a new group."""
    groups: list[list[tuple[Token, str, float]]] = []
    for each in labelled:
        begins, kind = _tag(each[1])
        if groups and not begins and _tag(groups[-1][-1][1])[1] == kind:
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups


def _tag(label: str) -> tuple[bool, str]:
    """Whether a label begins an entity, and its kind; a label without B- or I- continues one."""
    if label.startswith(("B-", "I-")):
        return label.startswith("B-"), label[2:]
    return False, label
