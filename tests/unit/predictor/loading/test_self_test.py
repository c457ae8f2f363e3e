"""The self-test and the warm-up of a load."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from predictor.engine.tasks.text_classification import TextClassificationTask
from predictor.errors import SelfTestError, WarmupError
from predictor.loading import warmup as module
from predictor.loading.self_test import replay_selftest
from predictor.loading.warmup import warm_up
from storage_init.format.package import SELFTEST_FILE, TOKENIZER_FILE
from storage_init.format.reading import read_package
from storage_init.format.selftest import SelfTest
from storage_init.format.tasks import TextClassification
from storage_init.running.tokenizer import Tokenizer
from tests.support.models.engines import Watched
from tests.support.models.models import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from predictor.engine.engine import Engine


class NoNumbers(TextClassificationTask):
    """The rows of a graph that overflows."""

    def pool(self, output: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        return super().pool(output, mask) * np.nan


class Meeting(Watched):
    """Ends an inference only while another one runs."""

    def __init__(self) -> None:
        super().__init__()
        self.both = threading.Barrier(2, timeout=10)

    def pool(self, output: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        self.both.wait()
        return super().pool(output, mask)


TASK = TextClassification(labels=LABELS, activation="softmax")


@pytest.fixture
def selftest(prepared_classifier: Path) -> SelfTest:
    return SelfTest.load(prepared_classifier / SELFTEST_FILE)


@pytest.fixture
def replay(prepared_classifier: Path) -> Callable[..., float]:
    """Replays a self-test against the fp32 variant."""
    package = read_package(prepared_classifier)[0]
    fp32 = package.variants[-1]
    assert fp32.tolerance == 1e-3

    def replay(engine: Engine, selftest: SelfTest, lanes: int = 1) -> float:
        return replay_selftest(engine, selftest, package.task, fp32, lanes)

    return replay


def moved(selftest: SelfTest, row: int, by: float) -> SelfTest:
    """The self-test with one value of one row's reference moved."""
    reference = selftest.reference.copy()
    reference[row, 1] += by
    return SelfTest(selftest.texts, reference)


def test_answers_within_the_tolerance_pass(
    classifier_engine: Engine, selftest: SelfTest, replay: Callable[..., float]
) -> None:
    assert 0 <= replay(classifier_engine, selftest) <= 1e-3
    assert replay(classifier_engine, moved(selftest, 4, 5e-4)) > 1e-4
    with pytest.raises(SelfTestError):
        replay(classifier_engine, moved(selftest, 4, 2e-3))
    with pytest.raises(SelfTestError) as failed:
        replay(classifier_engine, moved(selftest, 4, 0.25))
    assert str(failed.value).startswith(
        "self-test failed: variant fp32 is 0.25 off the reference on text 5 of 8, tolerance 0.001."
    )


def test_answers_that_are_not_finite_fail_the_self_test_and_the_warm_up(
    classifier_engine: Engine, selftest: SelfTest, replay: Callable[..., float]
) -> None:
    engine = replace(classifier_engine, task=NoNumbers(TASK))
    with pytest.raises(SelfTestError, match="is inf off the reference"):
        replay(engine, selftest)
    with pytest.raises(WarmupError, match=r"not finite for shape \[1, 64\]"):
        warm_up(engine, 1)


def test_a_warm_up_measures_as_many_inferences_as_are_set(classifier_engine: Engine) -> None:
    warmup = warm_up(classifier_engine, 7)
    assert len(warmup.seconds) == 7
    assert 0 < warmup.quantile(0.5) <= warmup.quantile(0.95) <= max(warmup.seconds)
    nothing = warm_up(classifier_engine, 0)
    assert (nothing.seconds, nothing.quantile(0.5)) == ((), 0)


def test_the_warm_up_keeps_to_the_models_maximum_length(classifier_engine: Engine) -> None:
    watched = Watched()
    warm_up(replace(classifier_engine, task=watched), 4)
    shapes = watched.shapes
    assert len(set(shapes)) == 4, "each inference has its own shape"
    assert max(length for _, length in shapes) == classifier_engine.tokenizer.max_length
    assert max(rows for rows, _ in shapes) > 1


def test_the_warm_up_of_a_model_that_does_not_batch_runs_single_texts(
    classifier_engine: Engine,
) -> None:
    watched = Watched()
    warm_up(replace(classifier_engine, task=watched, batches=False), 6)
    assert len(watched.shapes) == 6
    assert {rows for rows, _ in watched.shapes} == {1}


def test_both_run_on_all_lanes_and_keep_the_order(
    classifier_engine: Engine, selftest: SelfTest, replay: Callable[..., float]
) -> None:
    engine = replace(classifier_engine, task=Meeting())
    # Rows out of order would fail: no two texts have the same answer.
    assert replay(engine, selftest, lanes=2) <= 1e-3
    assert len(warm_up(engine, 4, lanes=2).seconds) == 4


def test_a_warm_up_that_fails_names_the_shape_and_the_reason(
    classifier_engine: Engine, prepared_classifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHAPES", ((1, 128),))
    # The tokenizer allows more tokens than the graph has positions.
    tokenizer = Tokenizer(prepared_classifier / TOKENIZER_FILE, max_length=512, pad_token_id=0)
    with pytest.raises(WarmupError, match=r"failed on a batch of shape \[1, 128\]: .*ONNXRuntime"):
        warm_up(replace(classifier_engine, tokenizer=tokenizer), 10)
