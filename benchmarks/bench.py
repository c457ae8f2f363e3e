"""What the parts of one run share: its options, its models, its progress on the terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TypeVar

from benchmarks import catalogue
from benchmarks.prepared import Prepared, prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.catalogue import Usable
    from benchmarks.harness.options import Options

T = TypeVar("T")


class Bench:
    """Models are prepared when a part first asks for them."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.logs = options.work / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self._prepared: dict[str, Prepared] = {}
        self._usable: dict[str, Usable] = {}
        self._start = time.monotonic()

    def prepared(self, name: str) -> Prepared:
        """A model's package and sources."""
        if name not in self._prepared:
            self.say(f"preparing {name}")
            self._prepared[name] = prepare(name, self.options.work)
        return self._prepared[name]

    def usable(self, name: str) -> Usable:
        """The variants of a model that this host runs."""
        if name not in self._usable:
            self._usable[name] = catalogue.usable(self.prepared(name), self.logs)
        return self._usable[name]

    def say(self, text: str) -> None:
        """A line of progress, with the time since the start."""
        seconds = int(time.monotonic() - self._start)
        print(f"[{seconds // 60:3}:{seconds % 60:02}] {text}", file=sys.stderr, flush=True)


def rotated(items: Sequence[T], number: int) -> list[T]:
    """The items in another order each round, so that none always follows the same one."""
    first = number % len(items) if items else 0
    return [*items[first:], *items[:first]]
