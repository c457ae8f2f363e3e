"""Outcomes to the event loops that wait for them, from a lane or from a clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from predictor.errors import DeadlineError

if TYPE_CHECKING:
    import asyncio

    from numpy.typing import NDArray

    from predictor.serving.queue import Job

    Rows = NDArray[Any]

TOO_LATE = "the request's time was over before its answer came"


def deliver(outcomes: list[tuple[Job, Rows | Exception]]) -> None:
    """Hand over outcomes from a lane's thread, one wake-up a loop."""
    for loop in {job.loop for job, _ in outcomes}:
        mine = [(job.future, outcome) for job, outcome in outcomes if job.loop is loop]
        try:
            loop.call_soon_threadsafe(_resolve, mine)
        except RuntimeError:  # the loop is closed: nobody waits any more
            continue


def expire(future: asyncio.Future[Rows]) -> None:
    """A request's deadline has come; called on its own loop."""
    if not future.done():
        future.set_exception(DeadlineError(TOO_LATE))


def _resolve(outcomes: list[tuple[asyncio.Future[Rows], Rows | Exception]]) -> None:
    for future, outcome in outcomes:
        if future.done():  # cancelled, or a text of the same request failed before
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
