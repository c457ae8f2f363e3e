"""Each task's requests, and the answers of transformers or sentence-transformers to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tests.architectures.texts import CANDIDATES, CONTEXTS, PAIRS, QUERY, QUESTIONS, TEXTS, masked
from tests.support.models.originals import original, original_scores, original_vectors
from tests.support.models.reading import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.harness.process import Predictor
    from tests.architectures.models import Head

# The largest difference of a score, or of a vector's value, between equal answers.
TOLERANCE = 1e-4
TOP = 3
# sentence-transformers pads texts to the longest of a batch; convolutions read the padding.
_ALONE = {"batch_size": 1}


class RequestRefusedError(Exception):
    """The predictor answered with an error, which is the message."""


class Answers(NamedTuple):
    """For each text what must be equal (labels, spans, order), and the numbers that go with it."""

    exact: list[Any]
    numbers: list[list[float]]

    @property
    def kinds(self) -> int:
        """The number of different answers."""
        pairs = zip(self.exact, self.numbers, strict=True)
        return len({repr(np.round(numbers, 2) if one is None else one) for one, numbers in pairs})


@dataclass(frozen=True)
class Task:
    """A task: what its models are asked, and what their originals answer.

    ``given`` makes the instances from a model's folder, ``original`` their answers in the shape of
    the predictor's predictions, and ``read`` takes either for the comparison. Each of
    ``parameters`` is a request of its own.
    """

    head: Head
    given: Callable[[Path], list[Any]]
    original: Callable[..., list[Any]]
    read: Callable[[list[Any]], Answers]
    parameters: tuple[dict[str, Any], ...] = ({},)

    def ask(self, server: Predictor, folder: Path) -> Answers:
        """Ask a running predictor.

        Raises:
            RequestRefusedError: it answers with an error.
        """
        found = []
        for parameters in self.parameters:
            body = {"instances": self.given(folder), "parameters": parameters}
            response = server.predict(body)
            if not response.is_success:
                raise RequestRefusedError(response.json().get("error", response.text))
            found += response.json()["predictions"]
        return self.read(found)

    def ask_original(self, folder: Path) -> Answers:
        """Ask the library that the model is made for."""
        given = self.given(folder)
        found = [self.original(folder, given, **parameters) for parameters in self.parameters]
        return self.read([each for answers in found for each in answers])


def _always(instances: Sequence[Any]) -> Callable[[Path], list[Any]]:
    return lambda _: list(instances)


def _items(exact: Sequence[str], score: str = "score") -> Callable[[list[Any]], Answers]:
    """Read answers that are lists of items with a score; ``exact`` names what must be equal."""
    return lambda found: Answers(
        [[[item.get(key) for key in exact] for item in each] for each in found],
        [[float(item[score]) for item in each] for each in found],
    )


def _ranked(found: list[Any]) -> Answers:
    return Answers([each["label"] for each in found], [each["score"] for each in found])


def _values(key: str) -> Callable[[list[Any]], Answers]:
    """Read answers that are numbers alone; only their closeness counts."""
    return lambda found: Answers([None] * len(found), [np.ravel(x[key]).tolist() for x in found])


def _classify(folder: Path, given: list[Any], **_: Any) -> list[Any]:
    found = original("text-classification", folder, top_k=None)(given, truncation=True)
    return [{key: [item[key] for item in each] for key in ("label", "score")} for each in found]


def _zero_shot(folder: Path, given: list[Any], candidate_labels: list[str], **_: Any) -> list[Any]:
    found = original("zero-shot-classification", folder)(given, candidate_labels=candidate_labels)
    return [{"label": each["labels"], "score": each["scores"]} for each in found]


def _embed(folder: Path, given: list[Any]) -> list[Any]:
    return [{"embedding": vector} for vector in original_vectors(folder, given, **_ALONE)]


def _rerank(folder: Path, given: list[Any]) -> list[Any]:
    documents = [each["document"] for each in given]
    return [{"score": score} for score in original_scores(folder, QUERY, documents, **_ALONE)]


def _tag(folder: Path, given: list[Any], aggregation_strategy: str) -> list[Any]:
    tagger = original("token-classification", folder)
    found: list[Any] = tagger(given, aggregation_strategy=aggregation_strategy)
    return found


def _find_answers(folder: Path, given: list[Any], top_k: int) -> list[Any]:
    reader = Reader(folder)
    return [reader(**each, top_k=top_k) for each in given]


def _masked_texts(folder: Path) -> list[Any]:
    from transformers import AutoTokenizer

    return masked(str(AutoTokenizer.from_pretrained(folder).mask_token))


def _fill(folder: Path, given: list[Any]) -> list[Any]:
    found: list[Any] = original("fill-mask", folder)(given, tokenizer_kwargs={"truncation": True})
    return found


_pairs = [{"text": one, "text_pair": two} for one, two in zip(TEXTS, PAIRS, strict=True)]
_questions = [
    {"question": one, "context": two} for one, two in zip(QUESTIONS, CONTEXTS, strict=True)
]
_documents = [{"query": QUERY, "document": text} for text in TEXTS]
_all_labels = {"top_k": len(CANDIDATES)}
_candidates = _all_labels | {"candidate_labels": CANDIDATES}
_strategies = tuple({"aggregation_strategy": name} for name in ("simple", "none", "average"))
_top = ({"top_k": TOP},)
_span = ("start", "end", "answer")
_entity = ("entity", "entity_group", "index", "word", "start", "end")

TASKS: dict[str, Task] = {
    "classification": Task("classifier", _always(TEXTS), _classify, _ranked, (_all_labels,)),
    "pairs": Task("classifier", _always(_pairs), _classify, _ranked, (_all_labels,)),
    # transformers takes no empty text here.
    "zero-shot": Task("classifier", _always(TEXTS[2:]), _zero_shot, _ranked, (_candidates,)),
    "embedding": Task("embedder", _always(TEXTS), _embed, _values("embedding")),
    # The order of equal scores is not compared: either of the two empty texts may be the first.
    "reranking": Task("reranker", _always(_documents), _rerank, _values("score")),
    "tokens": Task("tagger", _always(TEXTS), _tag, _items(_entity), _strategies),
    "answers": Task("reader", _always(_questions), _find_answers, _items(_span), _top),
    "fill-mask": Task("masked", _masked_texts, _fill, _items(("token", "token_str", "sequence"))),
}
