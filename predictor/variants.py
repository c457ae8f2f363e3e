"""Which variant of a package this host should serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from predictor.errors import NoVariantError
from storage_init import host

if TYPE_CHECKING:
    from collections.abc import Collection

    from storage_init.package import Package, Requires, Variant


def choose(package: Package, wanted: str, providers: Collection[str]) -> Variant:
    """The variant named ``wanted``; for "auto" the fastest measured that runs here.

    Args:
        package: the prepared model.
        wanted: a variant's name or "auto".
        providers: ONNX Runtime's execution providers on this host.

    Raises:
        NoVariantError: says for each variant what it lacks.
    """
    candidates = [v for v in package.variants if wanted in ("auto", v.name)]
    if not candidates:
        have = ", ".join(variant.name for variant in package.variants)
        raise NoVariantError(f"{package.name} has no variant {wanted} (it has {have})")
    lacking = {variant.name: _lacking(variant.requires, providers) for variant in candidates}
    usable = [variant for variant in candidates if lacking[variant.name] is None]
    if not usable:
        reasons = "; ".join(f"{name}: {why}" for name, why in lacking.items())
        raise NoVariantError(f"no variant of {package.name} runs on this host ({reasons})")
    return min(usable, key=lambda variant: variant.speed.median_ms)


def _lacking(requires: Requires, providers: Collection[str]) -> str | None:
    if requires.provider not in providers:
        return f"ONNX Runtime here has no {requires.provider}"
    return host.unmet(requires)
