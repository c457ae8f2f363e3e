"""What Warmstart sets out to reach on DistilBERT-base, and what a run measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchmarks import catalogue
from benchmarks.harness.figures import quantile, ratio, summarize
from benchmarks.harness.report import Target
from benchmarks.parts import several
from benchmarks.parts.throughput_result import BARE_BATCHES, JSON, JUDGED
from predictor.loading import variants
from predictor.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.cold_start import ColdStart
    from benchmarks.harness.figures import ByRound, Summary
    from benchmarks.parts.growth import Growth
    from benchmarks.parts.memory import MemoryResult
    from benchmarks.parts.overload import Overload
    from benchmarks.parts.throughput_result import Throughput

NO_INT8 = "no int8 variant runs here; this is {}"
NOT_MEASURED = "not measured"
# The predictor's own defaults: above them a variant runs every text alone.
LIMITS = Settings()


@dataclass(frozen=True)
class _Goal:
    """A target before it is compared: ``sense`` says which side of ``limit`` is good."""

    point: str
    text: str
    sense: Literal["<=", ">="]
    limit: float
    unit: str = ""
    digits: int = 2

    def judge(self, summary: Summary | None, caveat: str | None = None) -> Target:
        """Compare the median; with a caveat it is shown and not judged."""
        limit = f"{'at most' if self.sense == '<=' else 'at least'} {self.limit:g}{self.unit}"
        if summary is None:
            return Target(self.point, self.text, limit, caveat or NOT_MEASURED, None)
        good = summary.median <= self.limit if self.sense == "<=" else summary.median >= self.limit
        measured = summary.text(1, self.digits) + self.unit + (f"; {caveat}" if caveat else "")
        return Target(self.point, self.text, limit, measured, None if caveat else good)


def cold_start(result: ColdStart) -> Iterator[Target]:
    """Points 1 and 2."""
    variant, caveat = _small(result.int8, result.automatic)
    name = catalogue.ours_name(variant)
    loading = result.load_by_round(variant)
    ready = result.by_round(name, lambda start: start.ready)
    first = result.by_round(name, lambda start: start.first_answer)
    total = result.by_round(name, lambda start: start.load.get("total"))
    empty = result.by_round(catalogue.EMPTY, lambda start: start.ready)
    peer = result.by_round(catalogue.MOSEC, lambda start: start.first_answer)
    torch = result.by_round(catalogue.PYTORCH, lambda start: start.ready)
    torch_load = result.by_round(catalogue.PYTORCH, lambda start: start.load.get("total"))
    milliseconds = summarize(seconds * 1000 for seconds in loading.values())

    text = "int8 load() without digests, self-test and warm-up"
    yield _Goal("1", text, "<=", 50, " ms", 1).judge(milliseconds, caveat)
    bare = result.session_by_round(variant)
    yield _Goal("1", f"{text}, over bare InferenceSession()", "<=", 1.25).judge(
        ratio(loading, bare), caveat
    )
    yield _Goal("2", "start to ready, over an empty KServe server's", "<=", 0.75).judge(
        ratio(ready, empty), caveat
    )
    same_graph = None if result.peer_variant == variant else f"mosec has {result.peer_variant}"
    yield _Goal("2", "start to first answer, over mosec's", "<=", 1).judge(
        ratio(first, peer), caveat or same_graph
    )
    yield _Goal("2", "PyTorch's start to ready, over ours", ">=", 8, digits=1).judge(
        ratio(torch, ready), caveat
    )
    goal = _Goal("2", "PyTorch's imports and load, over our load() as in 1", ">=", 100, digits=0)
    yield goal.judge(ratio(torch_load, loading), caveat)
    goal = _Goal("2", "the same over our load() with every check", ">=", 100, digits=1)
    yield goal.judge(ratio(torch_load, total), caveat or "for information")


def throughput(result: Throughput) -> Iterator[Target]:
    """Points 3, 4 and 6."""
    auto, variant = catalogue.ours_name(catalogue.AUTO), result.automatic
    at = (JSON, result.fixed, JUDGED)
    rate = result.by_round(auto, at)
    yield _Goal("3", f"rate at {JUDGED}, over the bare session's best", ">=", 0.85).judge(
        ratio(rate, _best_bare(result, variant))
    )
    alone = result.bare_by_round(variant, result.fixed, 1, lanes=1, value=lambda cell: cell.p50)
    single = result.by_round(auto, (JSON, result.fixed, 1), lambda cell: cell.p50)
    added = summarize(single[n] - alone[n] for n in single if n in alone)
    yield _Goal("3", "p50 at 1 connection, beyond the bare session's", "<=", 1, " ms").judge(added)
    p50 = result.by_round(auto, at, lambda cell: cell.p50)
    p99 = result.by_round(auto, at, lambda cell: cell.p99)
    yield _Goal("3", f"p99 over p50 at {JUDGED}", "<=", 2.5).judge(ratio(p99, p50))

    padded = result.bare_by_round(variant, result.mixed, max(BARE_BATCHES), lanes=result.lanes)
    for connections in sorted({cell.connections for cell in result.cells} & {JUDGED, 64}):
        served = result.by_round(auto, (JSON, result.mixed, connections))
        text = f"mixed lengths at {connections}, over first-come padded batches of 16"
        yield _Goal("4", text, ">=", 1.5).judge(ratio(served, padded))

    torch = result.by_round(catalogue.PYTORCH, at)
    yield _Goal("6", f"rate at {JUDGED}, over PyTorch's", ">=", 8, digits=1).judge(
        ratio(rate, torch)
    )
    yield _independence(result)
    by_hand = [result.by_round(name, at) for name in _chosen_by_hand(result)]
    yield _Goal("6", "automatic choice, over the best by hand", ">=", 0.95).judge(
        ratio(rate, _best(by_hand))
    )


def memory(result: MemoryResult) -> Iterator[Target]:
    """Point 5, and growth under load."""
    variant, caveat = _small(result.int8, result.automatic)
    pairs = [pair for pair in result.pairs if pair.variant == variant]
    goal = _Goal("5", "int8, PSS after traffic with REST and gRPC up", "<=", 180, " MB", 0)
    yield goal.judge(summarize(pair.served.pss for pair in pairs), caveat)
    goal = _Goal("5", "PSS of a second process, over the first's", "<=", 0.6)
    yield goal.judge(summarize(pair.second.pss / pair.served.pss for pair in pairs), caveat)
    growth = result.growth()
    measured = NOT_MEASURED if growth is None else f"{growth:+.2f} MB per 10,000"
    requests = result.soak[-1].requests if result.soak else 0
    yield Target("–", f"no growth over {requests:,} requests", "none", measured, None)  # noqa: RUF001


def growth(result: Growth) -> Iterator[Target]:
    """Point 7."""
    variant, caveat = _small(result.int8, result.variant)
    value = result.slope(variant)
    goal = _Goal("7", "int8 load() as in 1, a million parameters", "<=", 0.3, " ms", 3)
    yield goal.judge(None if value is None else summarize([value]), caveat)
    goal = _Goal("7", "start, a further small model in one server", "<=", 60, " ms")
    cost = several.per_model(result.several)
    yield goal.judge(None if cost is None else summarize([cost]))


def overload(result: Overload) -> Iterator[Target]:
    """Point 8."""
    out = result.outcome
    goal = _Goal("8", "served under 20 times the sustainable rate, over that rate", ">=", 0.95)
    yield goal.judge(summarize([result.served_share]))
    refusals = [quantile(out.refused, 0.99) * 1000] if out.refused else []
    goal = _Goal("8", "p99 of refusals", "<=", 50, " ms", 1)
    yield goal.judge(summarize(refusals))
    accepted = [*out.answered, *out.late]
    goal = _Goal("8", "p99 of requests that were let in, over their deadline", "<=", 1)
    share = [quantile(accepted, 0.99) / result.deadline] if accepted else []
    yield goal.judge(summarize(share))
    goal = _Goal("8", "back to normal", "<=", 2, " s")
    yield goal.judge(None if result.back is None else summarize([result.back]))
    growth = f"{result.growth:+.0f} MB to {max(result.pss):.0f} MB"
    yield Target("8", "PSS under overload", "bounded", growth, None)


def _small(int8: str | None, automatic: str) -> tuple[str, str | None]:
    """The variant to show for int8's targets, and what to say where it is another."""
    return (int8, None) if int8 else (automatic, NO_INT8.format(automatic))


def may_batch(result: Throughput, variant: str) -> bool:
    """Whether the predictor batches a variant across requests, by its default limits."""
    return variants.may_batch(result.sensitivity[variant], LIMITS)


def _best_bare(result: Throughput, variant: str) -> ByRound:
    """The fastest loop under the batching limit that holds for the variant when served."""
    batches = BARE_BATCHES if may_batch(result, variant) else (1,)
    return _best(
        [result.bare_by_round(variant, result.fixed, n, lanes=result.lanes) for n in batches]
    )


def _best(candidates: list[ByRound]) -> ByRound:
    """The one with the highest median."""
    known = [(s.median, c) for c in candidates if (s := summarize(c.values()))]
    return max(known, key=lambda pair: pair[0], default=(0, {}))[1]


def _chosen_by_hand(result: Throughput) -> list[str]:
    return [*result.by_hand, *(catalogue.ours_name(name) for name in result.sensitivity)]


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
