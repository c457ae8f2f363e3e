"""Which variant of a package this host should serve, and in which form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import UNSET

from predictor.errors import NoVariantError
from predictor.settings import AUTO, BatchLimits, Wanted
from storage_init.running import host, providers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from storage_init.format.package import Package, Precision, Requires, Variant


@dataclass(frozen=True)
class Runtime:
    """What ONNX Runtime is here: its version, and why it has not an execution provider."""

    version: str
    unavailable: Callable[[str], str | None] = providers.unavailable


@dataclass(frozen=True)
class Choice:
    """A variant, the graph of it to load, how to run it, and whether its texts may share a batch.

    ``graph`` is relative to the package: the packed form where this host is the one it was packed
    for, else the portable one. ``passed_over``: why not the variants that are faster.
    """

    variant: Variant
    graph: str
    provider: str
    precision: Precision | None
    packed: bool
    may_batch: bool
    passed_over: Mapping[str, str]


def choose(package: Package, wanted: Wanted, runtime: Runtime, limits: BatchLimits) -> Choice:
    """The variant that is wanted; of several the fastest measured that runs here.

    Fastest by what a variant may do: in batches if its answers stay within ``limits`` there, else
    one text at a time. A provider is asked for only if no faster variant runs without it.

    Raises:
        NoVariantError: says for each variant what it lacks.
    """
    candidates = [v for v in package.variants if wanted.variant in (AUTO, v.name)]
    if not candidates:
        have = ", ".join(variant.name for variant in package.variants)
        raise NoVariantError(f"{package.name} has no variant {wanted.variant} (it has {have})")

    def milliseconds(variant: Variant) -> float:
        speed = variant.speed
        return speed.batched_ms if limits.allow(variant) else speed.alone_ms

    lacking: dict[str, str] = {}
    for variant in sorted(candidates, key=milliseconds):
        provider = wanted.provider_of(variant)
        if provider is None:
            lacking[variant.name] = f"it is for {variant.requires.provider}, not {wanted.provider}"
        elif why := _lacking(variant.requires, provider, runtime):
            lacking[variant.name] = why
        else:
            return _chosen(variant, provider, runtime, limits, lacking)
    reasons = "; ".join(f"{name}: {why}" for name, why in lacking.items())
    raise NoVariantError(f"no variant of {package.name} runs on this host ({reasons})")


def why_not(package: Package, choice: Choice) -> dict[str, str]:
    """Why each variant that was not chosen was not, by its name."""
    chosen = choice.variant.speed
    return {
        variant.name: choice.passed_over.get(
            variant.name,
            f"{choice.variant.name} was asked for, or measured faster: {chosen.batched_ms:.3g} ms "
            f"a text in batches and {chosen.alone_ms:.3g} ms alone, this one "
            f"{variant.speed.batched_ms:.3g} and {variant.speed.alone_ms:.3g}",
        )
        for variant in package.variants
        if variant.name != choice.variant.name
    }


def _chosen(
    variant: Variant,
    provider: str,
    runtime: Runtime,
    limits: BatchLimits,
    passed_over: Mapping[str, str],
) -> Choice:
    packed = variant.packed
    use_packed = (
        packed is not None
        and packed.requires.provider == provider
        and _lacking(packed.requires, provider, runtime) is None
    )
    graph = packed.graph if packed is not None and use_packed else variant.graph
    may_batch = limits.allow(variant)
    precision = None if variant.precision is UNSET else variant.precision
    return Choice(variant, graph, provider, precision, use_packed, may_batch, passed_over)


def _lacking(requires: Requires, provider: str, runtime: Runtime) -> str | None:
    # A provider comes last: to ask for one may mean to load it.
    return host.unmet(requires, runtime.version) or runtime.unavailable(provider)
