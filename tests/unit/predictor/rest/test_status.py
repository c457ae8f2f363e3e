"""``/status`` describes a server and its models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from predictor.loading.load import load
from predictor.rest.status import status
from predictor.serving.model import Model
from predictor.settings import Settings
from predictor.telemetry.startup import Start
from storage_init.base.hashing import sha256_file
from storage_init.format.package import PACKAGE_FILE

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_ready_model_shows_its_source_checks_and_measurements(
    served: Model, prepared_classifier: Path
) -> None:
    start = Start()
    start.mark("listening")
    told = orjson.loads(orjson.dumps(status({"m": served}, served.settings, start)))
    (model,) = told["models"]
    loaded = served.loaded
    assert loaded.package is not None
    assert (model["name"], model["state"], model["ready"]) == ("m", "ready", True)
    assert model["reason"] is None
    assert model["version"] == loaded.version
    assert model["digest"] == sha256_file(prepared_classifier / PACKAGE_FILE)
    assert model["digest"].startswith(model["version"])
    assert model["source"] == {
        "uri": loaded.package.source.uri,
        "revision": loaded.package.source.revision,
    }
    assert (model["variant"], model["task"]) == ("fp32", "text-classification")
    assert model["selftest"]["largest_distance"] <= model["selftest"]["tolerance"]
    assert model["warmup"]["inferences"] == served.settings.warmup_inferences
    assert model["warmup"]["p50_seconds"] <= model["warmup"]["p95_seconds"]
    assert model["load_seconds"].keys() == loaded.phases.seconds.keys()
    assert model["max_length"] == loaded.package.limits.max_length
    assert list(told["start_seconds"]) == ["listening"]
    assert told["limits"]["max_batch_tokens"] == served.settings.max_batch_tokens
    assert {"max_body_bytes", "max_queue_texts", "lanes"} <= set(told["limits"])


def test_each_variant_that_was_not_chosen_has_a_reason(prepared_classifier: Path) -> None:
    model = Model(Settings("m", prepared_classifier, variant="fp32", lanes=1))
    model.load()
    (told,) = status({"m": model}, model.settings, Start())["models"]
    model.stop()
    assert list(told["other_variants"]) == ["int8"]
    assert "fp32 was asked for" in told["other_variants"]["int8"]
    assert "ms alone" in told["other_variants"]["int8"]


def test_a_failed_model_shows_its_reason(tmp_path: Path) -> None:
    model = Model(Settings("m", tmp_path))
    model.fail("the disk is on fire")
    (told,) = status({"m": model}, model.settings, Start())["models"]
    assert (told["state"], told["ready"]) == ("failed", False)
    assert (told["reason"], told["folder"]) == ("the disk is on fire", str(tmp_path))


def test_a_plain_folder_is_unprepared(
    classifier: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from tests.support.models.exports import export_onnx

    folder = export_onnx(classifier, tmp_path / "plain")
    settings = Settings("m", folder, lanes=1)
    model = Model(settings)
    model.serve(load(settings))
    request.addfinalizer(model.stop)
    (told,) = status({"m": model}, settings, Start())["models"]
    assert (told["origin"], told["variant"], told["selftest"]) == ("unprepared", "unprepared", None)
    assert "digest" not in told
