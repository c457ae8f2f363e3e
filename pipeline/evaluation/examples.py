"""The texts that a model is measured on, in the form that its task takes, and batches of them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.original.texts import SAMPLES, long_texts
from pipeline.recipe.reading import RecipeError
from storage_init.format.tasks import (
    FillMask,
    QuestionAnswering,
    TextRanking,
    TokenClassification,
)
from storage_init.running.tokenizer import places_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tokenizers
    from numpy.typing import NDArray

    from pipeline.recipe.recipe import Example
    from storage_init.format.tasks import Task
    from storage_init.running.tokenizer import Feeds, Places, Tokenizer

# The question for a context, or the query for a document, that comes without its own.
QUESTION = "What is it about?"
MIXED_TEXTS = 40
LONGEST_WORDS = 64


def selftest_examples(task: Task, texts: Sequence[Example]) -> list[Example]:
    """The recipe's texts in the task's form: with a question, with a mask to fill, or unchanged.

    Raises:
        RecipeError: a pair for a task that takes single texts.
    """
    examples: list[Example] = []
    for text in texts:
        if isinstance(task, QuestionAnswering | TextRanking):
            examples.append((QUESTION, text) if isinstance(text, str) else text)
        elif not isinstance(text, str):
            raise RecipeError(
                "selftest_texts holds a pair, which only question-answering and text-ranking take"
            )
        else:
            examples.append(_masked(text, task.mask_token) if isinstance(task, FillMask) else text)
    return examples


def probe_examples(task: Task, longest: int) -> list[Example]:
    """Texts of many scripts, and one of more than ``longest`` words, in the task's form."""
    texts: list[Example] = [*(text for text in SAMPLES if text.strip()), *long_texts(longest)]
    if isinstance(task, FillMask):
        # Long texts are cut: the mask has to be near their beginning.
        return [f"{task.mask_token} {text}" for text in texts if isinstance(text, str)]
    return selftest_examples(task, texts)


def mixed_examples(task: Task, examples: Sequence[Example]) -> list[Example]:
    """``MIXED_TEXTS`` texts of 1 to ``LONGEST_WORDS`` words of these examples, in the task's form.

    The same examples always give the same texts. They measure speed, and how much the other texts
    of a batch move an answer.
    """
    texts = [example if isinstance(example, str) else example[1] for example in examples]
    words = [word for text in texts for word in text.split()] or ["a"]
    # Not for secrets: the same recipe must be measured on the same texts.
    chance = random.Random(0)  # noqa: S311
    last = MIXED_TEXTS - 1
    lengths = [1 + round((LONGEST_WORDS - 1) * (n / last) ** 2) for n in range(MIXED_TEXTS)]
    chance.shuffle(lengths)
    mixed = [" ".join(chance.choices(words, k=length)) for length in lengths]
    return selftest_examples(task, mixed)


def _masked(text: str, mask: str) -> str:
    """The text with its middle word masked, unless it has a mask already."""
    if mask in text:
        return text
    words = text.split() or [""]
    words[len(words) // 2] = mask
    return " ".join(words)


class Batch(NamedTuple):
    """A session's inputs and the token positions that matter in each text, None for whole texts."""

    feeds: Feeds
    places: Places | None

    @property
    def texts(self) -> int:
        """The number of texts."""
        return len(next(iter(self.feeds.values())))


@dataclass(frozen=True)
class Batches:
    """Makes batches for one model's sessions."""

    task: Task
    tokenizer: Tokenizer

    def make(self, encodings: Sequence[tokenizers.Encoding], names: Sequence[str]) -> Batch:
        """A batch of these encodings for a graph with these inputs."""
        return Batch(self.tokenizer.feeds(encodings, names), self.places(encodings))

    def places(self, encodings: Sequence[tokenizers.Encoding]) -> Places | None:
        """The token positions that matter in each text, None for a task about whole texts."""
        return places_of(self.task, self.tokenizer, [encoding.ids for encoding in encodings])

    def rows(self, encodings: Sequence[tokenizers.Encoding]) -> list[int] | None:
        """The number of answer rows of each text, None where each text has one."""
        places = self.places(encodings)
        return None if places is None else [len(here) for here in places]

    def labelled(
        self, encodings: Sequence[tokenizers.Encoding]
    ) -> tuple[NDArray[np.bool_] | slice, list[int] | None]:
        """The answer rows whose labels a user sees, and their number for each text.

        A tagger's special tokens are left out: it learns no label for them.
        """
        rows = self.rows(encodings)
        if rows is None or not isinstance(self.task, TokenClassification):
            return slice(None), rows
        inside = [[part is not None for part in each.sequence_ids] for each in encodings]
        return np.concatenate([np.array(each, bool) for each in inside]), list(map(sum, inside))
