"""Chooses the variant of a package that this host serves, and the form of its graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import UNSET, structs

from predictor.engine.attention_room import AttentionRoom
from predictor.errors import NoVariantError
from predictor.settings import AUTO
from storage_init.base import cpus
from storage_init.format.package import FULL_PRECISION
from storage_init.running import host, providers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from predictor.settings import Settings
    from storage_init.format.measurements import Measurements
    from storage_init.format.package import BatchSensitivity, Package, Precision, Requires, Variant

# What a server takes beside its models, with requests in flight: docs/capacity.md.
RESERVED_BYTES = 135_000_000


@dataclass(frozen=True)
class Runtime:
    """The host's ONNX Runtime: its version, and why it lacks an execution provider."""

    version: str
    unavailable: Callable[[str], str | None] = providers.unavailable


@dataclass(frozen=True)
class Choice:
    """The variant to serve, its graph, and how to run it.

    ``graph``: relative to the package; the packed form on the kind of host it was packed for, else
    the portable one. ``may_batch``: whether texts may share an inference. ``passed_over``: for each
    faster variant, why it does not run here. ``referee``: the full-precision variant that answers
    texts whose label is not clear.
    """

    variant: Variant
    graph: str
    provider: str
    precision: Precision | None
    packed: bool
    may_batch: bool
    passed_over: Mapping[str, str]
    referee: Variant | None = None

    @property
    def served(self) -> list[Variant]:
        """The variants whose files are read."""
        return [self.variant, *([self.referee] if self.referee else [])]

    @property
    def label_promise(self) -> dict[str, float] | None:
        """How rarely a label may differ, as the package measured it; None without a referee."""
        figures = self.variant.referee
        return None if self.referee is None or figures is UNSET else structs.asdict(figures)


def choose(
    package: Package, settings: Settings, runtime: Runtime, measured: Measurements
) -> Choice:
    """The variant that the settings name, or else the fastest measured one that runs here.

    Speed is that of batches if texts may share them, else that of one text at a time. If a variant
    was not measured, the package's order decides. The runtime
    is asked for a provider only if no faster variant runs without it.

    Raises:
        NoVariantError: says for each variant what it lacks.
    """
    candidates = [v for v in package.variants if settings.variant in (AUTO, v.name)]
    if not candidates:
        have = ", ".join(variant.name for variant in package.variants)
        raise NoVariantError(f"{package.name} has no variant {settings.variant} (it has {have})")

    lacking: dict[str, str] = {}
    for variant in _fastest_first(candidates, settings, measured):
        provider = _provider(variant, settings)
        if provider is None:
            own = variant.requires.provider
            lacking[variant.name] = f"it is for {own}, not {settings.provider}"
        elif why := _lacking(variant.requires, provider, runtime):
            lacking[variant.name] = why
        else:
            packed = variant.packed
            use_packed = (
                packed is not None
                and packed.requires.provider == provider
                and _lacking(packed.requires, provider, runtime) is None
            )
            return Choice(
                variant,
                packed.graph if packed is not None and use_packed else variant.graph,
                provider,
                precision=None if variant.precision is UNSET else variant.precision,
                packed=use_packed,
                may_batch=may_batch(variant.batch_sensitivity, settings),
                passed_over=lacking,
                referee=_referee(package, variant, settings),
            )
    reasons = "; ".join(f"{name}: {why}" for name, why in lacking.items())
    raise NoVariantError(f"no variant of {package.name} runs on this host ({reasons})")


def _fastest_first(
    variants: list[Variant], settings: Settings, measured: Measurements
) -> list[Variant]:
    times: list[float] = []
    for variant in variants:
        speed = measured.speed(variant.name)
        if speed is None:
            return variants
        batches = may_batch(variant.batch_sensitivity, settings)
        times.append(speed.batched_ms if batches else speed.alone_ms)
    ordered = sorted(zip(times, range(len(variants)), strict=True))
    return [variants[index] for _, index in ordered]


def _referee(package: Package, variant: Variant, settings: Settings) -> Variant | None:
    """The full-precision variant, where the package says when this variant needs it.

    None if the container's memory holds only one of them: the kernel would read pages again and
    again.
    """
    if settings.referee == "off" or variant.referee is UNSET:
        return None
    exact = next((each for each in package.variants if each.name == FULL_PRECISION), None)
    limit = cpus.memory_limit()
    if exact is None or limit is None:
        return exact
    return exact if RESERVED_BYTES + served_bytes(package, [variant, exact]) <= limit else None


def attention_room(package: Package, choice: Choice) -> AttentionRoom | None:
    """Return the room for long texts; None without a memory limit, or if the heads are unknown."""
    heads, limit = package.limits.attention_heads, cpus.memory_limit()
    if heads is UNSET or limit is None:
        return None
    return AttentionRoom(heads, limit - RESERVED_BYTES - served_bytes(package, choice.served))


def served_bytes(package: Package, variants: Iterable[Variant]) -> int:
    """Return the bytes of these variants' files, shared ones once."""
    files = [entry for variant in variants for entry in package.served_files(variant)]
    return sum({entry.path: entry.size for entry in files}.values())


def may_batch(sensitivity: BatchSensitivity, settings: Settings) -> bool:
    """Whether texts may share an inference: their answers stay within the settings' limits."""
    return (
        sensitivity.largest_move <= settings.max_batch_move
        and sensitivity.flipped_labels <= settings.max_batch_flips
    )


def why_not(package: Package, choice: Choice, measured: Measurements) -> dict[str, str]:
    """For each variant that was not chosen, the reason, by its name."""
    faster = f"{choice.variant.name} was asked for, or measured faster"
    return {
        variant.name: choice.passed_over.get(
            variant.name,
            f"{faster}: {_milliseconds(choice.variant, measured)}, this one "
            f"{_milliseconds(variant, measured)}",
        )
        for variant in package.variants
        if variant.name != choice.variant.name
    }


def _milliseconds(variant: Variant, measured: Measurements) -> str:
    speed = measured.speed(variant.name)
    if speed is None:
        return "was not measured"
    return f"takes {speed.batched_ms:.3g} ms a text in batches and {speed.alone_ms:.3g} ms alone"


def _provider(variant: Variant, settings: Settings) -> str | None:
    """The provider to run a variant on, None if it cannot run on the one that is set."""
    own = variant.requires.provider
    if settings.provider in (AUTO, own):
        return own
    # A GPU's provider has all operators of full precision and keeps its answers.
    on_gpu = settings.provider == providers.CUDA and variant.name == FULL_PRECISION
    return settings.provider if on_gpu else None


def _lacking(requires: Requires, provider: str, runtime: Runtime) -> str | None:
    # The provider comes last, because asking for one may load it.
    return host.unmet(requires, runtime.version) or runtime.unavailable(provider)
