"""``GET /status``: what the server serves and why, for people and tools."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from predictor.loading.variants import why_not
from predictor.protocol.metadata import server_metadata
from storage_init.format.tasks import name_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from predictor.loading.load import LoadedModel
    from predictor.loading.variants import Choice
    from predictor.serving.model import Model
    from predictor.settings import Settings
    from predictor.telemetry.startup import Start
    from storage_init.format.package import Package

# Limits beside the settings that begin with "max_".
LIMITS = ("lanes", "threads", "drain_seconds", "grace_seconds")


def status(models: Mapping[str, Model], settings: Settings, start: Start) -> dict[str, Any]:
    """The status of the server and of its models, as JSON values."""
    about = server_metadata()
    return {
        "server": {"name": about["name"], "version": about["version"]},
        "checks": {"verify": settings.verify, "signature": settings.verify_key is not None},
        "start_seconds": {name: round(s, 4) for name, s in start.seconds.items()},
        "limits": _limits(settings),
        "models": [_model(model) for model in models.values()],
    }


def _limits(settings: Settings) -> dict[str, Any]:
    names = [f.name for f in fields(settings) if f.name.startswith("max_") or f.name in LIMITS]
    return {name: getattr(settings, name) for name in names}


def _model(model: Model) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": model.name,
        "state": model.state.value,
        "ready": model.ready,
        "reason": model.reason,
    }
    if not model.is_loaded:
        return shown | {"folder": str(model.settings.folder)}
    loaded = model.loaded
    shown |= _loaded(loaded)
    if loaded.package and loaded.choice:
        shown |= _prepared(loaded, loaded.package, loaded.choice)
    return shown


def _loaded(loaded: LoadedModel) -> dict[str, Any]:
    warmup = loaded.warmup
    return {
        "version": loaded.version,
        "variant": loaded.variant,
        "folder": str(loaded.folder),
        "origin": loaded.origin,
        "max_length": loaded.engine.tokenizer.max_length,
        "shares_batches": loaded.engine.batches,
        "load_seconds": {name: round(s, 4) for name, s in loaded.phases.seconds.items()},
        "selftest": None,
        "warmup": {
            "inferences": len(warmup.seconds),
            "p50_seconds": warmup.quantile(0.5),
            "p95_seconds": warmup.quantile(0.95),
        },
    }


def _prepared(loaded: LoadedModel, package: Package, choice: Choice) -> dict[str, Any]:
    return {
        "task": name_of(package.task),
        "source": {"uri": package.source.uri, "revision": package.source.revision},
        "digest": loaded.digest,
        "provider": choice.provider,
        "packed": choice.packed,
        "other_variants": why_not(package, choice, loaded.measured),
        "referee": choice.label_promise,
        "selftest": {
            "largest_distance": loaded.selftest_distance,
            "tolerance": choice.variant.tolerance,
        },
    }
