"""What a model is asked while it is measured, in the form that its task takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pipeline.evaluation import probes
from pipeline.recipe.errors import RecipeError
from storage_init.format.package import FillMask, QuestionAnswering, TextRanking
from storage_init.running.runtime import places_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tokenizers

    from pipeline.recipe.recipe import Example
    from storage_init.format.package import Task
    from storage_init.running.runtime import Feeds, Places, Tokenizer

# Asked of a context, or of a document, that came without a question of its own.
QUESTION = "What is it about?"


def selftest_examples(task: Task, texts: Sequence[Example]) -> list[Example]:
    """The recipe's texts as the task wants them: with a question, with a mask to fill, or as is.

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


def mixed_examples(task: Task, examples: Sequence[Example]) -> list[Example]:
    """``probes.mixed_texts`` of these examples, as the task wants them."""
    texts = [example if isinstance(example, str) else example[1] for example in examples]
    return selftest_examples(task, probes.mixed_texts(texts))


def _masked(text: str, mask: str) -> str:
    """The text with its middle word masked, unless it has a mask already."""
    if mask in text:
        return text
    words = text.split() or [""]
    words[len(words) // 2] = mask
    return " ".join(words)


class Batch(NamedTuple):
    """A session's inputs, and the tokens of each text whose rows are looked at; None for texts."""

    feeds: Feeds
    places: Places | None

    @property
    def texts(self) -> int:
        return len(next(iter(self.feeds.values())))


@dataclass(frozen=True)
class Batches:
    """Makes batches for one model's sessions."""

    task: Task
    tokenizer: Tokenizer

    def make(self, encodings: Sequence[tokenizers.Encoding], names: Sequence[str]) -> Batch:
        """Encodings as a graph with these inputs takes them."""
        return Batch(self.tokenizer.feeds(encodings, names), self.places(encodings))

    def places(self, encodings: Sequence[tokenizers.Encoding]) -> Places | None:
        return places_of(self.task, self.tokenizer, [encoding.ids for encoding in encodings])

    def rows(self, encodings: Sequence[tokenizers.Encoding]) -> list[int] | None:
        """How many rows each text has; None where each has one."""
        places = self.places(encodings)
        return None if places is None else [len(here) for here in places]
