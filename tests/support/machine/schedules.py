"""A deterministic scheduler: actors take turns at every file operation, and may die before one.

Each actor is a thread, and one runs at a time. Before every call of ``os`` or ``open`` it comes to
the scheduler, which lets it go on, lets another run, or lets it die. A plan says when, so a run can
be repeated. Preemptions are bounded, as in CHESS (Musuvathi and Qadeer, 2007): most bugs need one
or two.
"""

from __future__ import annotations

import io
import itertools
import os
import random
import threading
import time
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CHANGES = ("mkdir", "rename", "replace", "rmdir", "unlink", "remove", "symlink", "link", "chmod")
OPERATIONS = (*CHANGES, "utime", "open", "write", "stat", "lstat", "readlink", "scandir", "listdir")
# An actor that never ends is stuck: the longest takes some hundreds of operations.
LIMIT = 20_000
TOLD = 40


class Killed(BaseException):
    """The actor is dead; it is raised again by everything that it tries."""


@dataclass(frozen=True)
class Plan:
    """When what happens; steps are file operations, counted over all actors.

    The first runnable actor of ``order`` runs. At each of ``switches`` it goes to the end of the
    order; at ``kill`` it dies.
    """

    order: tuple[int, ...]
    switches: tuple[int, ...] = ()
    kill: int | None = None

    @classmethod
    def at_random(cls, seed: int, actors: int, steps: int) -> Plan:
        """Return a plan with up to four switches, and a death in every second one."""
        chance = random.Random(seed)
        order = chance.sample(range(actors), actors)
        switches = sorted(chance.randrange(steps) for _ in range(chance.randint(1, 4)))
        kill = chance.randrange(steps) if chance.random() < 0.5 else None
        return cls(tuple(order), tuple(switches), kill)


@dataclass
class Actor:
    name: str
    work: Callable[[], None]
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    ended: bool = False
    dead: bool = False


class Run:
    """One run of some actors after a plan; ``look`` sees the state after every change."""

    def __init__(
        self, actors: dict[str, Callable[[], None]], plan: Plan, look: Callable[[], None]
    ) -> None:
        self.actors = [Actor(name, work) for name, work in actors.items()]
        self.plan, self.look = plan, look
        self.order = [self.actors[n] for n in plan.order]
        self.steps, self.clock = 0, 0.0
        self.changes: list[int] = []
        self.trace: list[tuple[object, ...]] = []
        self.failure: Exception | None = None
        self._changed = False
        self._back = threading.Semaphore(0)
        self._local = threading.local()

    def go(self) -> None:
        """Run all actors to their ends.

        Raises:
            Exception: what ``look`` raised, or an actor.
        """
        with self._patched():
            threads = [threading.Thread(target=self._run, args=(a,)) for a in self.actors]
            for thread in threads:
                thread.start()
            while living := self._living():
                living[0].turn.release()
                self._back.acquire()
            for thread in threads:
                thread.join()
            self._observe()
        if self.failure is not None:
            raise self.failure

    def step(self, *what: object, changes: bool = False) -> None:
        """Come to the scheduler before an operation; other threads than actors pass."""
        actor: Actor | None = getattr(self._local, "actor", None)
        if actor is None:
            return
        self._observe()
        now, self.steps = self.steps, self.steps + 1
        assert now < LIMIT, "an actor does not end"
        if now == self.plan.kill and not actor.dead:
            actor.dead = True
            self.trace.append((now, actor.name, "DIES before", *what))
        if actor.dead:
            raise Killed
        if now in self.plan.switches:
            self._to_the_end(actor)
        self._wait(actor)
        self.trace.append((now, actor.name, *what))
        if changes:
            self.changes.append(now)
            self._changed = True

    def sleep(self, seconds: float) -> None:
        """Let the others run; only this clock goes on."""
        self.clock += seconds
        if actor := getattr(self._local, "actor", None):
            self._to_the_end(actor)
            self.step("sleep")

    def tell(self) -> str:
        """The plan, to be run again, and what happened last."""
        lines = [" ".join(map(str, what)) for what in self.trace[-TOLD:]]
        return "\n".join([f"replay with {self.plan}", *lines])

    def _run(self, actor: Actor) -> None:
        self._local.actor = actor
        actor.turn.acquire()
        try:
            actor.work()
        except Killed:
            pass
        except Exception as error:  # noqa: BLE001 - ``go`` raises it again
            self._fail(error)
        actor.ended = True
        self._local.actor = None
        self._back.release()

    def _observe(self) -> None:
        if not self._changed:
            return
        self._changed = False
        actor, self._local.actor = getattr(self._local, "actor", None), None
        try:
            self.look()
        except Exception as error:  # noqa: BLE001 - ``go`` raises it again
            self._fail(error)
        finally:
            self._local.actor = actor

    def _fail(self, error: Exception) -> None:
        self.failure = self.failure or error
        for actor in self.actors:
            actor.dead = True

    def _living(self) -> list[Actor]:
        return [actor for actor in self.order if not actor.ended]

    def _to_the_end(self, actor: Actor) -> None:
        self.order.remove(actor)
        self.order.append(actor)

    def _wait(self, actor: Actor) -> None:
        if self._living()[0] is not actor:
            self._back.release()
            actor.turn.acquire()
        if actor.dead:
            raise Killed

    @contextmanager
    def _patched(self) -> Iterator[None]:
        names = itertools.count()
        operations = {name: self._stepping(name, getattr(os, name)) for name in OPERATIONS}
        with ExitStack() as stack:
            for name, operation in operations.items():
                stack.enter_context(mock.patch.object(os, name, operation))
            for module, name, stand_in in (
                (io, "open", self._opening(io.open)),
                (uuid, "uuid4", lambda: uuid.UUID(int=next(names) << 80)),
                (time, "sleep", self.sleep),
                (time, "monotonic", lambda: self.clock),
            ):
                stack.enter_context(mock.patch.object(module, name, stand_in))
            yield

    def _stepping(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*arguments: Any, **options: Any) -> Any:
            self.step(name, *arguments[:2], changes=name in CHANGES)
            return real(*arguments, **options)

        return operation

    def _opening(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def opening(path: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            writes = mode[:1] not in ("r", "") or "+" in mode
            self.step("open", path, mode, changes=writes)
            file = real(path, mode, *arguments, **options)
            if writes:  # it exists, and nothing is written to it yet
                try:
                    self.step("write", path, changes=True)
                except Killed:
                    file.close()
                    raise
            return file

        return opening


def preemptions(orders: int, points: Sequence[int], bound: int) -> Iterator[Plan]:
    """Yield every plan with up to ``bound`` switches at some of these steps, and no death."""
    for order in itertools.permutations(range(orders)):
        for count in range(bound + 1):
            for switches in itertools.combinations(points, count):
                yield Plan(order, switches)


def deaths(actors: int, steps: Sequence[int]) -> Iterator[Plan]:
    """Yield every plan in which an actor dies at one of these steps and the others follow."""
    for order in itertools.permutations(range(actors)):
        for step in steps:
            yield Plan(order, kill=step)
