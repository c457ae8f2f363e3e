"""Outcomes on their way to the event loops that wait for them."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from predictor.errors import DeadlineError
from predictor.protocol.types import Texts
from predictor.serving.delivery import deliver, expire
from predictor.serving.queue import Job


def test_an_outcome_comes_on_the_loop_of_its_request() -> None:
    async def wait() -> None:
        loop = asyncio.get_running_loop()
        good, bad = (Job(Texts(["a"]), loop.create_future(), loop) for _ in range(2))
        outcomes = [(good, np.ones(1)), (bad, ValueError("no")), (good, np.zeros(1))]
        threading.Thread(target=deliver, args=(outcomes,)).start()
        assert (await good.future).tolist() == [1]
        with pytest.raises(ValueError, match="no"):
            await bad.future

    asyncio.run(wait())


def test_a_deadline_comes_to_those_who_wait_only() -> None:
    async def wait() -> None:
        loop = asyncio.get_running_loop()
        late, answered = loop.create_future(), loop.create_future()
        answered.set_result(np.ones(1))
        expire(late)
        expire(answered)
        with pytest.raises(DeadlineError):
            await late
        assert (await answered).tolist() == [1]

    asyncio.run(wait())
