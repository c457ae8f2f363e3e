"""Chooses the output of an ONNX source that is the model's answer; exporters name it freely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from pipeline.graphs.files import GraphError
from storage_init.format.tasks import QuestionAnswering, TextEmbedding, TokenTask
from storage_init.running.session import SPAN_OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storage_init.format.tasks import Task

LOGITS: Final = "logits"
# sentence-transformers' names for states [N, L, D] and vectors [N, D].
HIDDEN: Final = "last_hidden_state"
EMBEDDING: Final = "embedding"
TOKEN_EMBEDDINGS = "token_embeddings"  # noqa: S105 - a tensor's name
SENTENCE_EMBEDDING = "sentence_embedding"

# An output's name and its rank, None if the graph does not state a shape.
Ranks = dict[str, "int | None"]


class Answer(NamedTuple):
    """An output's name and its kind: logits, hidden states [N, L, D] or vectors [N, D].

    Logits are [N, C], or [N, L, C] for a task about tokens. "spans" are the two ``SPAN_OUTPUTS``,
    of which ``name`` is the first.
    """

    name: str
    kind: Literal["logits", "last_hidden_state", "embedding", "spans"]


def choose(outputs: Mapping[str, int | None], task: Task, *, pooling_is_stated: bool) -> Answer:
    """The output that answers a task: one with a known name, else the first one.

    Unless the source states its pooling, the graph's own vectors are preferred to hidden states
    that would be pooled by default.

    Raises:
        GraphError: no output fits; the message lists the outputs.
    """
    if isinstance(task, QuestionAnswering):
        if not set(SPAN_OUTPUTS).issubset(outputs):
            raise GraphError(f"{_listing(outputs)}; needed is {' and '.join(SPAN_OUTPUTS)} [N, L]")
        return Answer(SPAN_OUTPUTS[0], "spans")
    if not isinstance(task, TextEmbedding):
        ranks = {3} if isinstance(task, TokenTask) else {2}
        return Answer(_pick(outputs, ranks, (LOGITS,)), LOGITS)
    hidden = next((name for name in (HIDDEN, TOKEN_EMBEDDINGS) if name in outputs), None)
    vectors = next((name for name in (SENTENCE_EMBEDDING, EMBEDDING) if name in outputs), None)
    if vectors and not (hidden and pooling_is_stated):
        return Answer(vectors, EMBEDDING)
    name = hidden or _pick(outputs, {2, 3}, ())
    return Answer(name, EMBEDDING if outputs[name] == 2 else HIDDEN)


def _pick(outputs: Mapping[str, int | None], ranks: set[int], known: tuple[str, ...]) -> str:
    for name in known:
        if name in outputs:
            return name
    first, rank = next(iter(outputs.items()), ("", None))
    if rank in ranks:
        return first
    raise GraphError(
        f"{_listing(outputs)}; needed is "
        f"{LOGITS} [N, C], {HIDDEN} [N, L, D] or {SENTENCE_EMBEDDING} [N, D]"
    )


def _listing(outputs: Mapping[str, int | None]) -> str:
    stated = ", ".join(f"{name} of rank {rank or 'unknown'}" for name, rank in outputs.items())
    return f"no output is the model's answer: the graph has {stated or 'none'}"
