"""A row of the table: one call of one client, and what its answer is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Ask = Callable[["Server"], Any]

TEXTS = ["the film was good", "a bad book", "battery lasts two days"]
QUERY = "is the book good ?"
MASKED = "the film was [MASK]"
QUESTION, CONTEXT = "what", "the battery lasts two days"
CANDIDATES = ["film", "book"]


@dataclass(frozen=True)
class Server:
    """Where the server is; ``root`` has no path. ``tokenizer``: the folder of the embedder's."""

    root: str
    grpc: str
    tokenizer: str

    @property
    def v1(self) -> str:
        return f"{self.root}/v1"

    def of(self, model: str) -> str:
        """The base URL of text-embeddings-inference's routes for a model."""
        return f"{self.root}/models/{model}"


@dataclass(frozen=True)
class Row:
    """A call.

    Attributes:
        client: the library and the class, in Markdown.
        points: how it is pointed at the server, in Markdown.
        ask: calls it; the answer is JSON.
        wanted: the name of what V2 answers to the same, in ``test_clients``.
        with_server: whether the call runs in the environment of the server.
    """

    client: str
    points: str
    ask: Ask
    wanted: str
    with_server: bool = False


ROWS: dict[str, Row] = {}


def row(
    client: str, points: str, wanted: str, *, with_server: bool = False
) -> Callable[[Ask], Ask]:
    """Put a function into the table, under its name."""

    def put(ask: Ask) -> Ask:
        ROWS[ask.__name__] = Row(client, points, ask, wanted, with_server)
        return ask

    return put


def use_own_encoding() -> None:
    """Give tiktoken, which downloads its encodings, one of bytes."""
    import tiktoken

    ranks = {bytes([value]): value for value in range(256)}
    made = tiktoken.Encoding("bytes", pat_str=r"\S+|\s+", mergeable_ranks=ranks, special_tokens={})
    tiktoken.encoding_for_model = lambda _: made
    tiktoken.get_encoding = lambda _: made
