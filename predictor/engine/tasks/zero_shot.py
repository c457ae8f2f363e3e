"""Zero-shot classification: a model trained on entailment (NLI) scores the request's own labels.

Each label becomes a hypothesis. The text and the hypothesis are a pair, and the label's score says
how far the first entails the second. Every classifier with a label "entailment" can do it.
Parameters: ``candidate_labels``, a list or a string with commas; ``hypothesis_template``, with
``{}`` in place of the label; ``multi_label``: score each label on its own, entailment against
contradiction, instead of sharing a total of 1 between the labels.

Source: Yin et al., "Benchmarking Zero-shot Text Classification" (2019); rules and defaults are
those of transformers' ``ZeroShotClassificationPipeline``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from predictor.errors import InvalidRequestError, TooLargeError
from storage_init.running.activations import probabilities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Rows, Texts

TEMPLATE = "This example is {}."
PLACE = "{}"
# Pairs and characters of a request's hypotheses; more would only be refused later.
MOST_PAIRS = 1 << 20
MOST_CHARACTERS = 1 << 23


@dataclass(frozen=True)
class ZeroShot:
    """The C candidate ``labels`` of one request, and how to score them."""

    labels: Sequence[str]
    template: str
    multi_label: bool

    @classmethod
    def parse(cls, parameters: Parameters) -> ZeroShot | None:
        """The candidates that a request brings, None if it names no labels.

        The other parameters are checked in either case.

        Raises:
            InvalidRequestError: a parameter is wrong.
        """
        template = parameters.given.get("hypothesis_template")
        if template is None:
            template = TEMPLATE
        if not isinstance(template, str) or PLACE not in template:
            raise InvalidRequestError(
                f"parameter hypothesis_template must be a string with {PLACE} where the label "
                f"goes, not {template!r}"
            )
        multi_label = parameters.flag("multi_label", default=False)
        labels = parameters.texts("candidate_labels")
        if labels is None:
            return None
        if labels == [parameters.given["candidate_labels"]]:
            labels = [label.strip() for label in labels[0].split(",") if label.strip()]
        if not labels:
            raise InvalidRequestError("parameter candidate_labels holds no label")
        return cls(labels, template, multi_label)

    def pairs(self, texts: Texts) -> Texts:
        """N texts as N * C pairs; the pairs of a text are neighbours.

        Raises:
            InvalidRequestError: the texts are pairs already.
            TooLargeError: there would be too many pairs, or too long ones.
        """
        if texts.pairs is not None:
            raise InvalidRequestError("candidate_labels take single texts, no pairs")
        pairs = len(texts.texts) * len(self.labels)
        characters = len(self.template) * len(self.labels) + self.template.count(PLACE) * sum(
            map(len, self.labels)
        )
        if pairs > MOST_PAIRS or characters > MOST_CHARACTERS:
            raise TooLargeError(
                f"candidate_labels make {pairs} pairs with hypotheses of {characters} characters; "
                f"{MOST_PAIRS} and {MOST_CHARACTERS} are the most"
            )
        hypotheses = [self.template.replace(PLACE, label) for label in self.labels]
        return replace(
            texts,
            texts=[text for text in texts.texts for _ in hypotheses],
            pairs=hypotheses * len(texts.texts),
        )

    def scores(self, rows: Rows, entailment: int) -> NDArray[np.float32]:
        """Logits of those pairs [N * C, L] to scores of the labels [N, C].

        ``entailment``: index of that label among the model's L labels.
        """
        logits = rows.reshape(-1, len(self.labels), rows.shape[1])
        if not self.multi_label and len(self.labels) > 1:
            return probabilities(logits[:, :, entailment], "softmax")
        contradiction = -1 if entailment == 0 else 0
        both = np.stack([logits[:, :, contradiction], logits[:, :, entailment]], axis=-1)
        return probabilities(both.reshape(-1, 2), "softmax")[:, 1].reshape(logits.shape[:2])


def find_entailment(labels: Sequence[str]) -> int | None:
    """Index of the label that says that a hypothesis follows; None if the model has none."""
    found = (i for i, label in enumerate(labels) if label.lower().startswith("entail"))
    return next(found, None)
