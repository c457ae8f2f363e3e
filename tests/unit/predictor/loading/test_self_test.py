"""The self-test and the warm-up: what they let through, and what they say of what they do not."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from predictor.engine.tasks.text_classification import TextClassificationTask
from predictor.errors import SelfTestError, WarmupError
from predictor.loading import self_test as checks
from predictor.loading.self_test import replay_selftest, warm_up
from storage_init.format.package import (
    SELFTEST_FILE,
    TOKENIZER_FILE,
    Package,
    TextClassification,
    Variant,
    read_package,
)
from storage_init.format.selftest import SelfTest
from storage_init.running.runtime import Tokenizer
from tests.support.models.engines import Watched
from tests.support.models.models import LABELS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from predictor.engine.engine import Engine


class NoNumbers(TextClassificationTask):
    """What a graph that overflows makes of every text."""

    def reduce(self, output: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        return super().reduce(output, mask) * np.nan


class Meeting(Watched):
    """Lets an inference end when another one runs; one after the other they never would."""

    def __init__(self) -> None:
        super().__init__()
        self.both = threading.Barrier(2, timeout=10)

    def reduce(self, output: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        self.both.wait()
        return super().reduce(output, mask)


TASK = TextClassification(labels=LABELS, activation="softmax")


@pytest.fixture
def package(prepared_classifier: Path) -> Package:
    return read_package(prepared_classifier)[0]


@pytest.fixture
def fp32(package: Package) -> Variant:
    return package.variants[0]


@pytest.fixture
def selftest(prepared_classifier: Path) -> SelfTest:
    return SelfTest.load(prepared_classifier / SELFTEST_FILE)


def moved(selftest: SelfTest, row: int, by: float) -> SelfTest:
    """The self-test with one value of one row's reference moved."""
    reference = selftest.reference.copy()
    reference[row, 1] += by
    return SelfTest(selftest.texts, reference)


def test_a_model_as_it_was_prepared_passes_and_its_distance_is_told(
    classifier_engine: Engine, selftest: SelfTest, package: Package, fp32: Variant
) -> None:
    distance = replay_selftest(classifier_engine, selftest, package.task, fp32)
    assert 0 <= distance <= fp32.tolerance


def test_one_answer_beyond_the_tolerance_fails_with_the_figures(
    classifier_engine: Engine, selftest: SelfTest, package: Package, fp32: Variant
) -> None:
    with pytest.raises(SelfTestError) as failed:
        replay_selftest(classifier_engine, moved(selftest, 4, 0.25), package.task, fp32)
    assert str(failed.value).startswith(
        "self-test failed: variant fp32 is 0.25 off the reference on text 5 of 8, tolerance 0.001."
    )


def test_the_tolerance_is_the_variants_own(
    classifier_engine: Engine, selftest: SelfTest, package: Package, fp32: Variant
) -> None:
    within = moved(selftest, 4, fp32.tolerance / 2)
    replay_selftest(classifier_engine, within, package.task, fp32)
    with pytest.raises(SelfTestError):
        replay_selftest(classifier_engine, moved(selftest, 4, 2e-3), package.task, fp32)


def test_an_answer_that_is_not_a_number_fails(
    classifier_engine: Engine, selftest: SelfTest, package: Package, fp32: Variant
) -> None:
    engine = replace(classifier_engine, task=NoNumbers(TASK))
    with pytest.raises(SelfTestError, match="is inf off the reference"):
        replay_selftest(engine, selftest, package.task, fp32)


def test_a_warm_up_measures_as_many_inferences_as_it_was_told(classifier_engine: Engine) -> None:
    warmup = warm_up(classifier_engine, 7)
    assert len(warmup.seconds) == 7
    assert 0 < warmup.quantile(0.5) <= warmup.quantile(0.95) <= max(warmup.seconds)


def test_no_warm_up_is_no_error(classifier_engine: Engine) -> None:
    warmup = warm_up(classifier_engine, 0)
    assert warmup.seconds == ()
    assert warmup.quantile(0.5) == 0


def test_the_warm_up_keeps_to_the_models_length(classifier_engine: Engine) -> None:
    watched = Watched()
    warm_up(replace(classifier_engine, task=watched), 4)
    shapes = watched.shapes
    assert len(set(shapes)) == 4, "each inference has its own shape"
    assert max(length for _, length in shapes) == classifier_engine.tokenizer.max_length
    assert max(rows for rows, _ in shapes) > 1


def test_where_texts_run_alone_the_warm_up_does_so_too(classifier_engine: Engine) -> None:
    watched = Watched()
    warm_up(replace(classifier_engine, task=watched, batches=False), 6)
    assert len(watched.shapes) == 6
    assert {rows for rows, _ in watched.shapes} == {1}


def test_lanes_run_the_checks_side_by_side_and_spoil_no_order(
    classifier_engine: Engine, selftest: SelfTest, package: Package, fp32: Variant
) -> None:
    engine = replace(classifier_engine, task=Meeting())
    # Rows out of order would be far off: no two texts have the same answer.
    assert replay_selftest(engine, selftest, package.task, fp32, lanes=2) <= fp32.tolerance
    assert len(warm_up(engine, 4, lanes=2).seconds) == 4


def test_an_inference_that_fails_is_told_with_its_shape_and_reason(
    classifier_engine: Engine, prepared_classifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "SHAPES", ((1, 128),))
    # Limits that promise more than the graph has positions for.
    tokenizer = Tokenizer(prepared_classifier / TOKENIZER_FILE, max_length=512, pad_token_id=0)
    with pytest.raises(WarmupError, match=r"failed on a batch of shape \[1, 128\]: .*ONNXRuntime"):
        warm_up(replace(classifier_engine, tokenizer=tokenizer), 10)


def test_a_warm_up_that_gives_no_numbers_fails(classifier_engine: Engine) -> None:
    with pytest.raises(WarmupError, match=r"not finite for shape \[1, 64\]"):
        warm_up(replace(classifier_engine, task=NoNumbers(TASK)), 1)
