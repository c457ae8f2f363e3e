"""The throughput part's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import catalogue
from benchmarks.harness.figures import summarize
from benchmarks.harness.report import Table, shown
from benchmarks.harness.requests import PROTOCOLS
from benchmarks.parts.throughput_result import BARE_BATCHES, JSON, JUDGED

if TYPE_CHECKING:
    from benchmarks.parts.throughput_result import Throughput


def tables(result: Throughput) -> list[Table]:
    """A table a protocol and workload, the bare loops, and rate beside sensitivity."""
    found = [
        _cells(result, protocol, workload)
        for protocol in PROTOCOLS
        for workload in (result.fixed, result.mixed)
    ]
    return [*(table for table in found if table.rows), _bare(result), _sensitivity(result)]


def _cells(result: Throughput, protocol: str, workload: str) -> Table:
    chosen = [c for c in result.cells if (c.protocol, c.workload) == (protocol, workload)]
    rows = []
    for connections in sorted({cell.connections for cell in chosen}):
        here = [cell for cell in chosen if cell.connections == connections]
        for server in dict.fromkeys(cell.server for cell in here):
            cells = [cell for cell in here if cell.server == server]
            rows.append(
                [
                    str(connections),
                    server,
                    shown(summarize(c.rate for c in cells)),
                    *(
                        shown(summarize(getattr(c, name) for c in cells if c.latencies), 1, 2)
                        for name in ("p50", "p95", "p99")
                    ),
                    str(sum(cell.errors for cell in cells)),
                    shown(summarize(c.server_cpu for c in cells), 1, 2),
                    shown(summarize(c.client_cpu for c in cells), 1, 3),
                ]
            )
    header = [
        *("connections", "server", "requests/s", "p50, ms", "p95, ms", "p99, ms", "errors"),
        *("server CPUs", "client CPUs"),
    ]
    clients = ", ".join(dict.fromkeys(cell.client for cell in chosen))
    errors = {f"{c.server}: {c.first_error}" for c in chosen if c.first_error}
    notes = [*result.notes, f"Client: {clients}, on the same machine.", *sorted(errors)]
    return Table(f"{result.model}, {protocol}, {workload}", header, rows, notes)


def _bare(result: Throughput) -> Table:
    # A loop too slow to end a batch in its window has no rate.
    cells = [cell for cell in result.bare if cell.rate]
    keys = dict.fromkeys((c.variant, c.workload, c.batch, c.lanes, c.threads) for c in cells)
    rows = []
    for key in keys:
        same = [c for c in cells if (c.variant, c.workload, c.batch, c.lanes, c.threads) == key]
        rows.append(
            [
                *(str(part) for part in key),
                shown(summarize(cell.rate for cell in same)),
                shown(summarize(cell.p50 for cell in same), 1, 2),
                shown(summarize(cell.p99 for cell in same), 1, 2),
            ]
        )
    header = ["variant", "texts", "batch", "lanes", "threads", "texts/s", "p50, ms", "p99, ms"]
    note = "Batches in order of arrival, padded to their longest text; tokenised in the loop."
    return Table("The bare session", header, rows, [note])


def _sensitivity(result: Throughput) -> Table:
    rows = []
    for variant, moved in result.sensitivity.items():
        at = (JSON, result.fixed, JUDGED)
        served = summarize(result.by_round(catalogue.ours_name(variant), at).values())
        bare = [
            shown(
                summarize(
                    result.bare_by_round(variant, result.fixed, batch, lanes=result.lanes).values()
                )
            )
            for batch in BARE_BATCHES
        ]
        move, flips = f"{moved.largest_move:.4f}", f"{moved.flipped_labels:.2%}"
        rows.append([variant, move, flips, shown(served), *bare])
    header = [
        *("variant", "largest move by batch-mates", "labels flipped", f"served at {JUDGED}, /s"),
        *(f"bare, batch {batch}, /s" for batch in BARE_BATCHES),
    ]
    note = "Move and flips as the pipeline measured them and package.json says."
    return Table("Rate and sensitivity to the batch", header, rows, [note])
