"""A request in the queue or in the lanes: its parts, its rows, and their delivery."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np

from predictor.errors import DeadlineError, LaneError
from predictor.protocol.types import Texts
from predictor.telemetry.requests import CURRENT, Timeline

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from predictor.engine.engine import Engine
    from predictor.engine.long_text import LongText
    from predictor.protocol.types import Rows, Tokens

# Characters tokenised for one request in its turn.
TURN_CHARACTERS = 8 * 1024


@dataclass(eq=False, slots=True)
class Job:
    """A request in the queue or in the lanes, and its rows so far.

    Attributes:
        texts: how many texts it has.
        sliced: how many texts a lane has tokenised or is tokenising.
        unread: how many texts have no tokens yet.
        waiting: how many texts no lane has taken.
        tokens: the tokens of its texts so far, windows included.
        size: the tokens of its texts as estimated when it came.
        cost: the tokens that no lane has taken, estimated for texts without tokens.
        share: the part of its cost that it sends in its next turn.
        ahead: the tokens that are ready for a lane or being made, partly estimated.
        entries: the tokenised texts that no lane has taken.
        credit: the tokens that it may still send in its turn; negative after it sent too many.
        reading: the characters that may still be tokenised in its turn.
        long_text: the text that is being read in pieces, and ``rest`` the tokens of its unread
            part, estimated, -1 if there is none; ``piece`` those of one piece.
        has_piece_out: whether a lane reads a piece of it.
        closed: whether nobody waits for its rows any more.
    """

    request: Texts | Sequence[Tokens]
    future: asyncio.Future[Rows]
    loop: asyncio.AbstractEventLoop
    since: float = field(default_factory=time.perf_counter)
    timeline: Timeline | None = field(default_factory=CURRENT.get)
    texts: int = 0
    sliced: int = 0
    unread: int = 0
    waiting: int = 0
    tokens: int = 0
    size: int = 0
    cost: int = 0
    share: int = 0
    ahead: int = 0
    entries: list[Entry] = field(default_factory=list)
    credit: int = 0
    reading: int = 0
    long_text: LongText | None = None
    rest: int = -1
    piece: int = 0
    has_piece_out: bool = False
    closed: bool = False
    _parts: dict[int, list[Rows | None]] = field(default_factory=dict)
    _lengths: dict[int, list[int]] = field(default_factory=dict)
    _missing: int = 0

    @property
    def lengths(self) -> list[int]:
        """The tokens of each row, in their order."""
        return [length for first in sorted(self._lengths) for length in self._lengths[first]]

    def enter(self, part: Part, texts: Sequence[Tokens], tokens: int) -> None:
        """Add a part's tokenised texts, or their windows; ``tokens`` is their number of tokens."""
        rows = self._parts.setdefault(part.first, [])
        start = len(rows)
        rows += [None] * len(texts)
        self._lengths.setdefault(part.first, []).extend(map(len, texts))
        self._missing += len(texts)
        self.unread -= part.finished
        self.tokens += tokens
        self.entries += [Entry(each, self, rows, index) for index, each in enumerate(texts, start)]

    def add_row(self, entry: Entry, row: Rows) -> Rows | None:
        """Add a text's row; return all rows, [N, D], when the last one arrives."""
        entry.rows[entry.index] = row
        self._missing -= 1
        if self._missing or self.unread:
            return None
        if len(self._parts) == 1:
            return np.stack(entry.rows)  # type: ignore[arg-type]
        every = [row for first in sorted(self._parts) for row in self._parts[first]]
        return np.stack(every)  # type: ignore[arg-type]


@dataclass(eq=False, slots=True)
class Entry:
    """One text of a job, or one window of it; its row belongs at ``index`` of ``rows``."""

    tokens: Tokens
    job: Job
    rows: list[Rows | None]
    index: int


@dataclass(eq=False, slots=True)
class Part:
    """Consecutive texts of a job that are tokenised in one call, or a piece of a long one.

    Attributes:
        first: index of the first text.
        texts: how many texts it has.
        estimated: their tokens, or those of the piece, as estimated.
        is_piece: whether it is a piece of one text.
        is_last: whether no piece of the text follows.
    """

    job: Job
    request: Texts | Sequence[Tokens]
    first: int
    texts: int
    estimated: int = 0
    is_piece: bool = False
    is_last: bool = True

    @property
    def finished(self) -> int:
        """How many texts have all their tokens after this part."""
        return self.texts if self.is_last else 0


@dataclass(eq=False, slots=True)
class Lane:
    """A lane's current step: its jobs, when it began, and the tokens that it runs.

    ``since`` is 0 between steps. ``alone``: whether no other work was there when it began.
    ``failing`` is when the lane began to fail without a success.
    """

    jobs: Sequence[Job] = ()
    since: float = 0.0
    tokens: int = 0
    alone: bool = False
    failing: float = 0.0

    @property
    def step_seconds(self) -> float:
        """Seconds since the current step began; 0 between steps."""
        began = self.failing or self.since
        return time.perf_counter() - began if began else 0.0

    def begin(self, jobs: Sequence[Job], tokens: int = 0) -> None:
        """Begin a step: tokenise or run texts of these jobs."""
        self.jobs, self.since, self.tokens = jobs, time.perf_counter(), tokens

    def rest(self) -> None:
        """Wait for work."""
        self.jobs, self.since, self.tokens, self.failing = (), 0.0, 0, 0.0

    def fail(self) -> None:
        """End the current step with a failure."""
        self.failing = self.failing or self.since or time.perf_counter()
        self.jobs, self.since, self.tokens = (), 0.0, 0


def tokens_of(engine: Engine, parts: Sequence[Part]) -> list[Sequence[Tokens] | Exception]:
    """The tokens of each part, or its error; whole texts share a call of the tokenizer."""
    texts = [p.request for p in parts if isinstance(p.request, Texts) and not p.is_piece]
    whole = iter(_tokens_or_errors(engine, texts))
    return [
        (_piece_or_error(engine, part) if part.is_piece else next(whole))
        if isinstance(part.request, Texts)
        else part.request
        for part in parts
    ]


def _piece_or_error(engine: Engine, part: Part) -> Sequence[Tokens] | Exception:
    job = part.job
    try:
        if job.long_text is None:
            job.long_text = engine.long_text(cast("Texts", part.request))
        windows = job.long_text.read(TURN_CHARACTERS)
        part.is_last = job.long_text.done
        return [engine.tokens_of(window) for window in windows]
    except BaseException as error:  # noqa: BLE001 - no text may end a lane, and Rust may panic
        return error if isinstance(error, Exception) else LaneError(error)


def _tokens_or_errors(
    engine: Engine, requests: Sequence[Texts]
) -> Sequence[Sequence[Tokens] | Exception]:
    if not requests:
        return []
    try:
        return engine.tokenize(requests)
    except BaseException as error:  # noqa: BLE001 - no text may end a lane, and Rust may panic
        if len(requests) == 1:
            return [error if isinstance(error, Exception) else LaneError(error)]
    # One request must not fail the others.
    return [tokens for request in requests for tokens in _tokens_or_errors(engine, [request])]


def outcome_of(entry: Entry, result: Rows | Exception) -> tuple[Job, Rows | Exception] | None:
    """Return a job with its rows or its error; None while rows are missing."""
    if isinstance(result, Exception):
        return entry.job, result
    rows = entry.job.add_row(entry, result)
    return None if rows is None else (entry.job, rows)


def deliver(outcomes: Sequence[tuple[Job, Rows | Exception]]) -> None:
    """Hand outcomes from a lane's thread to the event loops, with one wake-up for each loop."""
    for loop in {job.loop for job, _ in outcomes}:
        mine = [(job.future, outcome) for job, outcome in outcomes if job.loop is loop]
        try:
            loop.call_soon_threadsafe(_resolve, mine)
        except RuntimeError:  # the loop is closed, nobody waits
            continue


def _resolve(outcomes: list[tuple[asyncio.Future[Rows], Rows | Exception]]) -> None:
    for future, outcome in outcomes:
        if future.done():  # cancelled, or another text of the request failed first
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def expire(future: asyncio.Future[Rows]) -> None:
    """End a request at its deadline."""
    if not future.done():
        future.set_exception(DeadlineError())
