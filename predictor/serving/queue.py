"""The queue of requests that wait for a lane, each with its fair share.

Requests take turns. In its turn a request sends about ``slice_tokens`` tokens to the lanes; the
difference counts in its later turns. So a short request waits for at most one slice of every other
request, however long those are. Texts are tokenised in turns, too. Not thread-safe: the batcher's
lock guards it.

Source: Shreedhar and Varghese, "Efficient Fair Queuing using Deficit Round Robin" (1995).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING

from predictor.protocol.types import Texts
from predictor.serving.job import Entry, Job, Part
from predictor.serving.scheduler import LOOK_AHEAD
from storage_init.running.tokenizer import CHARACTERS_PER_TOKEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from predictor.protocol.types import Tokens

# How much an inference still weighs after the next one; about the last thirty count.
FADING = 0.97
# Characters tokenised for one request in its turn, and in one call.
TURN_CHARACTERS = 8 * 1024
CALL_CHARACTERS = 32 * 1024
# Characters of a token, to estimate a text's tokens before it is tokenised.
CHARACTERS_OF_TOKEN = 4


class ServiceTime:
    """Moving averages over recent inferences: a lane's time per token, and a text's tokens.

    ``seconds``: per token, 0 before the first inference. ``tokens``: per text. Ratios of fading
    sums, so that an inference counts once for each of its tokens.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.tokens = 0.0
        self._time = 0.0
        self._tokens = 0.0
        self._texts = 0.0

    def add(self, texts: int, tokens: int, seconds: float) -> None:
        """Add an inference of so many texts with so many tokens."""
        self._time = FADING * self._time + seconds
        self._tokens = FADING * self._tokens + tokens
        self._texts = FADING * self._texts + texts
        self.seconds = self._time / self._tokens
        self.tokens = self._tokens / self._texts


class RequestQueue:
    """The jobs whose texts wait for a tokenizer or for a lane.

    Args:
        slice_tokens: tokens that a job may send to the lanes in its turn.
        most: the largest number of tokens of a text.

    ``texts``: how many texts wait. ``round``: tokens that all jobs together send in their next
    turns. ``last_taken``: when a lane last took texts, or when the first waiting text arrived if
    that was later; by ``time.perf_counter()``.
    """

    def __init__(self, slice_tokens: int, most: int) -> None:
        self.texts = 0
        self.round = 0
        self.last_taken = time.perf_counter()
        self._slice = slice_tokens
        self._most = most
        self._room = 2 * CHARACTERS_PER_TOKEN * most
        self._unread: OrderedDict[Job, None] = OrderedDict()
        self._ready: OrderedDict[Job, None] = OrderedDict()
        # The job whose turn it is.
        self._current: Job | None = None

    def __bool__(self) -> bool:
        return bool(self._unread or self._ready)

    @property
    def has_unread(self) -> bool:
        """Whether texts wait for their tokens."""
        return bool(self._unread)

    def add(self, job: Job) -> None:
        """Add a request that has arrived."""
        if not self.texts:
            self.last_taken = job.since
        request = job.request
        texts = len(request.texts if isinstance(request, Texts) else request)
        job.texts = job.unread = job.waiting = texts
        self.texts += texts
        self._set_cost(job, self._estimated(request))
        self._unread[job] = None

    def pop_parts(self) -> list[Part]:
        """Return the texts to tokenise next, in one call."""
        parts: list[Part] = []
        characters = 0
        while self._unread and characters < CALL_CHARACTERS:
            job = next(iter(self._unread))
            job.reading += TURN_CHARACTERS
            if len(self._unread) == 1 and not parts:
                # Nobody else waits.
                job.reading = max(job.reading, self._characters(job.request, job.sliced))
            part, length = self._part(job)
            if job.sliced == job.texts:
                del self._unread[job]
            else:
                self._unread.move_to_end(job)
            if part.texts:
                characters += length
                parts.append(part)
            elif parts:
                # A long text has a call of its own.
                break
        return parts

    def enter(self, part: Part, texts: Sequence[Tokens], tokens: int) -> None:
        """Add a part's tokenised texts, or their windows; ``tokens`` is their number of tokens."""
        job = part.job
        if job.closed or job.future.done():
            return
        self._set_cost(job, job.cost - self._estimated(part.request) + tokens)
        more = len(texts) - part.texts
        if more:
            self.texts += more
            job.waiting += more
        job.enter(part, texts, tokens)
        if job.entries and job not in self._ready:
            # A job that had nothing to send saves no credit.
            job.credit = min(0, job.credit)
            self._ready[job] = None

    def front(self) -> list[Entry]:
        """Return the text whose turn it is, then those that may share its inference."""
        if not self._ready:
            return []
        each = -(-LOOK_AHEAD // len(self._ready))
        found = self._next_turn().entries[:each]
        if each >= LOOK_AHEAD:
            return found
        for job in islice(self._ready, 1, LOOK_AHEAD):
            found += job.entries[:each]
        return found[:LOOK_AHEAD]

    def take(self, batch: Sequence[Entry]) -> None:
        """Remove texts of :meth:`front` from the queue."""
        for entry in batch:
            job, length = entry.job, len(entry.tokens)
            job.entries.remove(entry)
            job.credit -= length
            job.waiting -= 1
            self.texts -= 1
            self._set_cost(job, job.cost - length)
            if not job.entries:
                self._leave_turns(job)
        self.last_taken = time.perf_counter()

    def cancel(self, job: Job) -> None:
        """Remove a job whose future is done, or will be."""
        job.closed = True
        self.texts -= job.waiting
        job.waiting = 0
        self._set_cost(job, 0)
        job.entries.clear()
        self._leave_turns(job)
        self._unread.pop(job, None)

    def _leave_turns(self, job: Job) -> None:
        self._ready.pop(job, None)
        if job is self._current:
            self._current = None

    def _next_turn(self) -> Job:
        """Move the job whose turn it is to the front, and return it."""
        while True:
            job = next(iter(self._ready))
            if job is not self._current:
                self._current = job
                job.credit += self._slice
            length = len(job.entries[0].tokens)
            if len(self._ready) == 1:
                # Nobody else waits, so it owes nothing for what it sends.
                job.credit = max(job.credit, length)
            # A text that is longer than a slice waits for several turns.
            if job.credit >= length:
                return job
            self._current = None
            self._ready.move_to_end(job)

    def _set_cost(self, job: Job, cost: int) -> None:
        most, before = self._slice, job.cost
        job.cost = cost
        self.round += (cost if cost < most else most) - (before if before < most else most)

    def _estimated(self, request: Texts | Sequence[Tokens]) -> int:
        if not isinstance(request, Texts):
            return sum(map(len, request))
        # Windows are not cut.
        most = self._most if request.stride is None else 10**9
        tokens = 0
        for place, text in enumerate(request.texts):
            length = len(text) + (len(request.pairs[place]) if request.pairs else 0)
            tokens += min(length // CHARACTERS_OF_TOKEN + 2, most)
        return tokens

    def _part(self, job: Job) -> tuple[Part, int]:
        """Take the texts of a job that may be tokenised now; return them and their characters."""
        request, first, spent = job.request, job.sliced, 0
        if isinstance(request, Texts):
            while job.sliced < job.texts:
                length = self._characters(request, job.sliced)
                if spent + length > job.reading:
                    break
                spent += length
                job.sliced += 1
            request = request.part(first, job.sliced)
        else:
            job.sliced = job.texts
        job.reading -= spent
        return Part(job, request, first, job.sliced - first), spent

    def _characters(self, request: Texts | Sequence[Tokens], place: int) -> int:
        """How many characters of a text are read: of one that is cut, the beginning."""
        if not isinstance(request, Texts):
            return 0
        length = len(request.texts[place])
        if request.pairs is not None:
            length += len(request.pairs[place])
        return length if request.stride is not None else min(length, self._room)
