"""Tables, targets and charts of the throughput part."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.harness.figures import ByRound, ratio, summarize, where
from benchmarks.harness.report import NOT_MEASURED, Goal, Table, Target, median, tabulate
from benchmarks.harness.requests import PROTOCOLS
from benchmarks.parts import catalogue
from benchmarks.parts.catalogue import ours_name
from benchmarks.parts.cells import JSON, Cell
from benchmarks.parts.throughput import BARE_BATCHES, JUDGED, Throughput
from predictor.loading.variants import may_batch
from predictor.settings import Settings

# The predictor's own defaults: above them it runs each text of a variant alone.
LIMITS = Settings()


def tables(result: Throughput) -> list[Table]:
    """A table for each protocol and workload, and the bare loops."""
    found = [
        _cells(result, protocol, workload)
        for protocol in PROTOCOLS
        for workload in (result.fixed, result.mixed)
    ]
    return [*(table for table in found if table.rows), _bare(result)]


def _cells(result: Throughput, protocol: str, workload: str) -> Table:
    cells = where(result.cells, protocol=protocol, workload=workload)
    cells.sort(key=lambda cell: cell.connections)
    columns = {
        "requests/s": median("rate"),
        **{f"{name}, ms": median(_known(name), 1, 2) for name in ("p50", "p95", "p99")},
        "errors": lambda row: str(sum(cell.errors for cell in row)),
        "server CPUs": median("server_cpu", 1, 2),
        "client CPUs": median("client_cpu", 1, 3),
    }
    clients = ", ".join(dict.fromkeys(cell.client for cell in cells))
    errors = {f"{c.server}: {c.first_error}" for c in cells if c.first_error}
    notes = [*result.notes, f"Client: {clients}, on the same machine.", *sorted(errors)]
    keys = {"connections": "connections", "server": "server"}
    return tabulate(f"{result.model}, {protocol}, {workload}", cells, keys, columns, notes)


def _known(latency: str) -> Callable[[Cell], float | None]:
    """A latency of a cell, None if nothing was answered."""
    return lambda cell: getattr(cell, latency) if cell.latencies else None


def _bare(result: Throughput) -> Table:
    # A loop that is too slow to end a batch in its window has no rate.
    cells = [cell for cell in result.bare if cell.rate]
    columns = {
        "texts/s": median("rate"),
        "p50, ms": median("p50", 1, 2),
        "p99, ms": median("p99", 1, 2),
    }
    note = "Batches in order of arrival, padded to their longest text; tokenised in the loop. "
    note += "Each lane is a thread."
    keys = {"variant": "variant", "texts": "workload", "batch": "batch", "lanes": "lanes"}
    return tabulate("The bare session", cells, keys, columns, [note])


def targets(result: Throughput) -> Iterator[Target]:
    """Points 3, 4 and 6."""
    auto, variant = ours_name(catalogue.AUTO), result.automatic
    at = (JSON, result.fixed, JUDGED)
    rate = result.of(auto, at)
    goal = Goal("3", f"rate at {JUDGED}, over the bare session's best", at_least=0.85)
    yield goal.judge(ratio(rate, _best_bare(result, variant)))
    alone = result.of_bare(variant, result.fixed, 1, 1, "p50")
    single = result.of(auto, (JSON, result.fixed, 1), "p50")
    added = summarize(single[number] - alone[number] for number in single if number in alone)
    goal = Goal("3", "p50 at 1 connection, beyond the bare session's", at_most=1, unit=" ms")
    yield goal.judge(added)
    goal = Goal("3", f"p99 over p50 at {JUDGED}", at_most=2.5)
    yield goal.judge(ratio(result.of(auto, at, "p99"), result.of(auto, at, "p50")))

    padded = result.of_bare(variant, result.mixed, max(BARE_BATCHES), result.lanes)
    for connections in sorted({cell.connections for cell in result.cells} & {JUDGED, 64}):
        served = result.of(auto, (JSON, result.mixed, connections))
        text = f"mixed lengths at {connections}, over first-come padded batches of 16"
        yield Goal("4", text, at_least=1.5).judge(ratio(served, padded))

    goal = Goal("6", f"rate at {JUDGED}, over PyTorch's", at_least=8, digits=1)
    yield goal.judge(ratio(rate, result.of(catalogue.PYTORCH, at)))
    yield _independence(result)
    best = _best([result.of(ours_name(name), at) for name in result.sensitivity])
    goal = Goal("6", "automatic choice, over the best variant", at_least=0.95)
    yield goal.judge(ratio(rate, best))


def _best_bare(result: Throughput, variant: str) -> ByRound:
    """The fastest loop under the batching limit that holds for the variant when it is served."""
    batches = BARE_BATCHES if may_batch(result.sensitivity[variant], LIMITS) else (1,)
    return _best([result.of_bare(variant, result.fixed, n, result.lanes) for n in batches])


def _best(candidates: list[ByRound]) -> ByRound:
    """The candidate with the highest median."""
    known = [(s.median, c) for c in candidates if (s := summarize(c.values()))]
    return max(known, key=lambda pair: pair[0], default=(0, {}))[1]


def _independence(result: Throughput) -> Target:
    found = result.independence
    text = "answers alone and among 15 others"
    limit = f"move at most {LIMITS.max_batch_move}, {LIMITS.max_batch_flips:.1%} flip"
    if found is None:
        return Target("6", text, limit, NOT_MEASURED, None)
    flipped = found.flipped / found.texts
    measured = f"move {found.largest_move:.6f}, {flipped:.2%} of {found.texts} flip"
    met = found.largest_move <= LIMITS.max_batch_move and flipped <= LIMITS.max_batch_flips
    return Target("6", text, limit, measured, met)
