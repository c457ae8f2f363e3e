"""Which variant of a package this host should serve, and in which form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from predictor.errors import NoVariantError
from storage_init import host

if TYPE_CHECKING:
    from collections.abc import Collection

    from storage_init.package import BatchSensitivity, Package, Requires, Variant


@dataclass(frozen=True)
class Runtime:
    """What ONNX Runtime is here: its version and its execution providers."""

    version: str
    providers: Collection[str]


@dataclass(frozen=True)
class BatchLimits:
    """How far an answer may move through its batch: a probability or cosine distance, labels."""

    largest_move: float
    flipped_labels: float

    def allow(self, variant: Variant) -> bool:
        """Whether texts may share a batch without moving each other's answers."""
        return self.allow_move(variant.batch_sensitivity)

    def allow_move(self, sensitivity: BatchSensitivity) -> bool:
        """Whether answers that move so far are near enough."""
        return (
            sensitivity.largest_move <= self.largest_move
            and sensitivity.flipped_labels <= self.flipped_labels
        )


@dataclass(frozen=True)
class Choice:
    """A variant, the graph of it to load, and whether its texts may share a batch.

    ``graph`` is relative to the package: the packed form where this host is the one it was packed
    for, else the portable one.
    """

    variant: Variant
    graph: str
    packed: bool
    may_batch: bool


def choose(package: Package, wanted: str, runtime: Runtime, limits: BatchLimits) -> Choice:
    """The variant named ``wanted``; for "auto" the fastest measured that runs here.

    Fastest by what a variant may do: in batches if its answers stay within ``limits`` there, else
    one text at a time.

    Raises:
        NoVariantError: says for each variant what it lacks.
    """
    candidates = [v for v in package.variants if wanted in ("auto", v.name)]
    if not candidates:
        have = ", ".join(variant.name for variant in package.variants)
        raise NoVariantError(f"{package.name} has no variant {wanted} (it has {have})")
    lacking = {variant.name: _lacking(variant.requires, runtime) for variant in candidates}
    usable = [variant for variant in candidates if lacking[variant.name] is None]
    if not usable:
        reasons = "; ".join(f"{name}: {why}" for name, why in lacking.items())
        raise NoVariantError(f"no variant of {package.name} runs on this host ({reasons})")

    def milliseconds(variant: Variant) -> float:
        speed = variant.speed
        return speed.batched_ms if limits.allow(variant) else speed.alone_ms

    best = min(usable, key=milliseconds)
    packed = best.packed
    use_packed = packed is not None and _lacking(packed.requires, runtime) is None
    graph = packed.graph if packed is not None and use_packed else best.graph
    return Choice(best, graph, packed=use_packed, may_batch=limits.allow(best))


def _lacking(requires: Requires, runtime: Runtime) -> str | None:
    if requires.provider not in runtime.providers:
        return f"ONNX Runtime here has no {requires.provider}"
    return host.unmet(requires, runtime.version)
