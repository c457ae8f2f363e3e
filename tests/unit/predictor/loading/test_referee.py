"""The referee: full precision answers what a reduced variant leaves unclear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np
import pytest

from predictor.loading.load import LoadedModel, load
from predictor.protocol.types import Texts
from predictor.rest.status import status
from predictor.serving.model import Model
from predictor.settings import Settings
from predictor.telemetry.metrics import REFEREE_TEXTS
from predictor.telemetry.startup import Start
from storage_init.base import cpus
from storage_init.base.errors import VerificationError
from storage_init.format.package import Referee
from storage_init.format.reading import read_package
from tests.support.models.engines import rows_of
from tests.support.models.packages import describe_again, flip_byte, writable_copy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

TEXTS = ["the film was good", "a bad book", "good", "battery lasts two days , works well"]
SURE, UNSURE = 0.0, 1e9


@pytest.fixture
def refereed(prepared_classifier: Path, tmp_path: Path) -> Callable[[float], Path]:
    """Returns a copy of the classifier whose int8 sends texts below a margin on."""

    def make(margin: float) -> Path:
        folder = writable_copy(prepared_classifier, tmp_path / "package")
        package, _ = read_package(folder)
        figures = Referee(
            margin=margin,
            share=0.1,
            texts=1000,
            differing=0,
            differing_without=9,
            bound=0.003,
            confidence=0.95,
        )
        describe_again(
            folder,
            variants=[
                msgspec.structs.replace(each, referee=figures) if each.name == "int8" else each
                for each in package.variants
            ],
        )
        return folder

    return make


def rows(loaded: LoadedModel) -> NDArray[np.float32]:
    """The rows of each text alone."""
    return np.concatenate([rows_of(loaded.engine, Texts([text])) for text in TEXTS])


def counted() -> tuple[float, float]:
    """How many texts ran again and kept their label, and how many changed it."""
    series = (REFEREE_TEXTS.labels("model", label) for label in ("kept", "changed"))
    kept, changed = (next(iter(each.collect())).samples[0].value for each in series)
    return kept, changed


@pytest.mark.parametrize(
    ("margin", "referee", "answering"),
    [(UNSURE, "on", "fp32"), (SURE, "on", "int8"), (UNSURE, "off", "int8")],
)
def test_each_text_is_answered_by_one_variant(
    refereed: Callable[[float], Path], margin: float, referee: Literal["on", "off"], answering: str
) -> None:
    folder = refereed(margin)
    alone = load(Settings(model_dir=folder, variant=answering, referee="off"))
    before = counted()
    loaded = load(Settings(model_dir=folder, variant="int8", referee=referee))
    assert loaded.variant == "int8"
    np.testing.assert_array_equal(rows(loaded), rows(alone))
    asked = len(TEXTS) if answering == "fp32" else 0
    assert sum(counted()) - sum(before) == asked


def test_a_margin_between_sends_only_the_unclear_texts_on(
    refereed: Callable[[float], Path], prepared_classifier: Path
) -> None:
    int8, fp32 = (
        rows(load(Settings(model_dir=prepared_classifier, variant=name)))
        for name in ("int8", "fp32")
    )
    ordered = np.sort(int8, axis=1)
    margins = ordered[:, -1] - ordered[:, -2]
    sent = margins < np.median(margins)
    loaded = load(Settings(model_dir=refereed(float(np.median(margins))), variant="int8"))
    np.testing.assert_array_equal(rows(loaded), np.where(sent[:, None], fp32, int8))
    # A text's batch-mates change neither the choice nor the answer.
    together = rows_of(loaded.engine, Texts(TEXTS))
    np.testing.assert_allclose(together, rows(loaded), atol=1e-4)


def test_the_referees_files_are_verified_too(refereed: Callable[[float], Path]) -> None:
    folder = refereed(UNSURE)
    flip_byte(folder / "fp32" / "model.onnx.data", 100)
    load(Settings(model_dir=folder, variant="int8", referee="off"))
    with pytest.raises(VerificationError, match=r"fp32/model\.onnx\.data"):
        load(Settings(model_dir=folder, variant="int8"))


@pytest.mark.parametrize(("limit", "there"), [(None, True), (1 << 30, True), (1 << 27, False)])
def test_a_container_with_too_little_memory_has_no_referee(
    refereed: Callable[[float], Path],
    monkeypatch: pytest.MonkeyPatch,
    limit: int | None,
    there: bool,
) -> None:
    monkeypatch.setattr(cpus, "memory_limit", lambda: limit)
    loaded = load(Settings(model_dir=refereed(UNSURE), variant="int8"))
    assert (loaded.engine.second_opinion is not None) is there


def test_metadata_and_status_say_what_the_labels_are_worth(
    refereed: Callable[[float], Path],
) -> None:
    model = Model(Settings("m", refereed(UNSURE), variant="int8"))
    model.load()
    figures = model.current.label_promise()["properties"]["referee"]
    assert (figures["bound"], figures["confidence"]) == (0.003, 0.95)
    shown = status({"m": model}, model.settings, Start())
    (of_model,) = shown["models"]
    assert of_model["referee"] == figures
    model.stop()
