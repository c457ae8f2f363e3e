"""What the throughput part measured, and how to find a value in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from benchmarks.harness.figures import ByRound, median_by_round
from benchmarks.load import BareCell, Cell
from benchmarks.parts.independence import Independence
from storage_init.format.package import BatchSensitivity

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.harness.requests import Protocol

BARE_BATCHES = (1, 4, 16)
# Where targets are judged and settings by hand are tried.
JUDGED = 16
JSON: Protocol = "rest-json"


class Throughput(msgspec.Struct, frozen=True):
    """The part's raw samples; ``fixed`` and ``mixed`` name its two workloads.

    ``by_hand`` are the servers with explicit lanes and threads, ``lanes`` those of the bare loops.
    """

    model: str
    int8: str | None
    automatic: str
    fixed: str
    mixed: str
    lanes: int
    by_hand: list[str]
    sensitivity: dict[str, BatchSensitivity]
    cells: list[Cell]
    bare: list[BareCell]
    notes: list[str]
    independence: Independence | None = None

    def by_round(
        self,
        server: str,
        at: tuple[str, str, int],
        value: Callable[[Cell], float] = lambda cell: cell.rate,
    ) -> ByRound:
        """A value of a server's cells at (protocol, workload, connections), the rate by default."""
        return median_by_round(
            (cell.round, value(cell))
            for cell in self.cells
            if cell.server == server and (cell.protocol, cell.workload, cell.connections) == at
        )

    def bare_by_round(
        self,
        variant: str,
        workload: str,
        batch: int,
        *,
        lanes: int,
        value: Callable[[BareCell], float] = lambda cell: cell.rate,
    ) -> ByRound:
        """A value of a bare loop, its rate by default."""
        at = (variant, workload, batch, lanes)
        return median_by_round(
            (cell.round, value(cell))
            for cell in self.bare
            if (cell.variant, cell.workload, cell.batch, cell.lanes) == at
        )
