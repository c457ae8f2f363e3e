"""The queue of requests that wait for a lane, each with its fair share.

Requests take turns. In its turn a request sends about ``slice_tokens`` tokens to the lanes; the
difference counts in its later turns. So a short request waits for at most one slice of every other
request, however long those are. Texts are tokenised in turns, too, a long one in pieces, and only
so far ahead that the lanes have work. Not thread-safe: the batcher's lock guards it.

Source: Shreedhar and Varghese, "Efficient Fair Queuing using Deficit Round Robin" (1995).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING

from predictor.protocol.types import Texts
from predictor.serving.job import TURN_CHARACTERS, Entry, Job, Part
from predictor.serving.scheduler import LOOK_AHEAD
from storage_init.running.tokenizer import CHARACTERS_PER_TOKEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from predictor.protocol.types import Tokens

# Characters tokenised in one call: some 20 ms.
CALL_CHARACTERS = 32 * 1024
# Tokens of a request that are made before a lane takes one; enough to choose equal lengths from.
READ_AHEAD = 8 * 1024


class RequestQueue:
    """The jobs whose texts wait for a tokenizer or for a lane.

    Args:
        slice_tokens: tokens that a job may send to the lanes in its turn.
        most: the largest number of tokens of a text.
        read_ahead: tokens of a job that are made before a lane takes one.

    ``texts``: how many texts wait. ``round``: tokens that all jobs together send in their next
    turns. ``tokens``: tokens that wait, partly estimated, and ``jobs`` how many jobs they belong
    to. ``last_taken``: when a lane last took texts, or when the first waiting text arrived if that
    was later; by ``time.perf_counter()``.
    """

    def __init__(self, slice_tokens: int, most: int, read_ahead: int = READ_AHEAD) -> None:
        self.texts = 0
        self.round = 0
        self.tokens = 0
        self.jobs = 0
        self.slice_tokens = slice_tokens
        self.last_taken = time.perf_counter()
        self._read_ahead = read_ahead
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
        """Add a request that has arrived; its ``size`` is estimated where it is 0."""
        if not self.texts:
            self.last_taken = job.since
        request = job.request
        texts = len(request.texts if isinstance(request, Texts) else request)
        job.texts = job.unread = job.waiting = texts
        self.texts += texts
        job.size = job.size or self.estimate(request)
        self._set_cost(job, job.size)
        self._unread[job] = None

    def estimate(self, request: Texts | Sequence[Tokens]) -> int:
        """The tokens of a request, right within a factor of two for most languages."""
        if not isinstance(request, Texts):
            return sum(map(len, request))
        if len(request.texts) == 1:
            return request.estimate(0, self._most)
        return sum(request.estimate(place, self._most) for place in range(len(request.texts)))

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
            job.ahead += part.estimated
            if part.is_piece or job.sliced == job.texts or job.ahead >= self._read_ahead:
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
        job.ahead += tokens - part.estimated
        job.has_piece_out = False
        if part.is_piece and part.is_last:
            # The estimate of the whole text is not needed any more.
            part.estimated += job.rest
            job.sliced += 1
            job.long_text, job.rest = None, -1
        self._set_cost(job, job.cost - part.estimated + tokens)
        self._read_on(job)
        more = len(texts) - part.finished
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
            job.ahead -= length
            job.waiting -= 1
            self.texts -= 1
            self._set_cost(job, job.cost - length)
            if not job.entries:
                self._leave_turns(job)
            self._read_on(job)
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

    def _read_on(self, job: Job) -> None:
        """Have more of a job tokenised once the lanes will need it; one piece at a time."""
        is_read = job.sliced == job.texts or job.has_piece_out or job.closed
        if not is_read and job.ahead < self._read_ahead:
            self._unread.setdefault(job, None)

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
                job.credit += self.slice_tokens
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
        self.tokens += cost - job.cost
        self.jobs += (cost > 0) - (job.cost > 0)
        share = min(cost, self.slice_tokens)
        self.round += share - job.share
        job.cost, job.share = cost, share

    def _part(self, job: Job) -> tuple[Part, int]:
        """Take the texts of a job that may be tokenised now; return them and their characters."""
        request, first, spent, estimated = job.request, job.sliced, 0, 0
        if not isinstance(request, Texts):
            job.sliced = job.texts
            return Part(job, request, first, job.texts - first, job.cost), 0
        while job.sliced < job.texts:
            length = self._characters(request, job.sliced)
            if request.stride is not None and length > TURN_CHARACTERS:
                if job.sliced == first:
                    return self._piece(job, request)
                break
            if spent + length > job.reading:
                break
            spent += length
            estimated += request.estimate(job.sliced, self._most)
            job.sliced += 1
        job.reading -= spent
        texts = request.part(first, job.sliced)
        return Part(job, texts, first, job.sliced - first, estimated), spent

    def _piece(self, job: Job, request: Texts) -> tuple[Part, int]:
        """Take the next piece of a long text; its job has no other part until it is read."""
        first = job.sliced
        job.reading, job.has_piece_out = 0, True
        if job.rest < 0:
            job.rest = request.estimate(first, self._most)
            pieces = -(-self._characters(request, first) // TURN_CHARACTERS)
            job.piece = -(-job.rest // pieces)
        estimated = min(job.rest, job.piece)
        job.rest -= estimated
        one = request.part(first, first + 1)
        return Part(job, one, first, 1, estimated, is_piece=True, is_last=False), TURN_CHARACTERS

    def _characters(self, request: Texts | Sequence[Tokens], place: int) -> int:
        """How many characters of a text are read: of one that is cut, the beginning."""
        if not isinstance(request, Texts):
            return 0
        length = len(request.texts[place])
        if request.pairs is not None:
            length += len(request.pairs[place])
        return length if request.stride is not None else min(length, self._room)
