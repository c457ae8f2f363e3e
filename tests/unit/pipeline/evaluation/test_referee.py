"""The referee's margin and the bound on labels that still differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.stats

from pipeline.evaluation.referee import (
    LEAST_TEXTS,
    MAX_SHARE,
    TARGET,
    judge,
    learn,
    learn_margin,
    pays,
    upper_bound,
)
from storage_init.format.tasks import TextClassification, TextRanking

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from storage_init.format.tasks import Task

TASK = TextClassification(["no", "yes"], "softmax")


@pytest.mark.parametrize(
    ("events", "trials"), [(0, 1), (0, 1000), (1, 1000), (17, 400), (399, 400), (400, 400)]
)
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_the_bound_is_clopper_and_pearsons(events: int, trials: int, confidence: float) -> None:
    exact = scipy.stats.binomtest(events, trials, alternative="less")
    high = exact.proportion_ci(confidence, "exact").high
    assert upper_bound(events, trials, confidence) == pytest.approx(high, abs=1e-8)


def logits_of(
    texts: int, noise: float, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits [N, 2] of a variant and of the original: clear for most texts, noise on all."""
    random = np.random.default_rng(seed)
    original = random.normal(0, 3, (texts, 2)).astype(np.float32)
    moved = random.standard_t(5, (texts, 2)).astype(np.float32) * noise
    return np.asarray(original + moved, dtype=np.float32), original


def margins_and_leads(texts: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The lead of the variant's label in its own logits and in the original's, [N] each."""
    variant, original = (logits[:, 0] - logits[:, 1] for logits in logits_of(texts, 0.05, seed))
    return np.abs(variant), np.sign(variant) * original


def test_the_bound_holds_on_other_texts_in_two_hundred_splits() -> None:
    """A 95 % bound may be exceeded once in twenty times."""
    exceeded, rates, shares = 0, [], []
    for seed in range(200):
        margin = learn_margin(*margins_and_leads(1000, seed))
        judged = judge(margin, *margins_and_leads(1000, seed + 1000))
        assert judged.differing_without, "some labels must differ without a referee"
        truth = judge(margin, *margins_and_leads(20_000, seed + 2000))
        exceeded += truth.differing / truth.texts > judged.bound
        rates.append(truth.differing / truth.texts)
        shares.append(judged.share)
    assert exceeded <= 200 * 0.05
    assert np.mean(rates) < 2 * TARGET
    assert np.mean(shares) < 0.1


def test_a_variant_that_changes_nothing_sends_nothing_on() -> None:
    _, original = logits_of(1000, 0.0, 0)
    found = learn(TASK, original, original, rows=None)
    assert found is not None
    assert (found.share, found.differing, found.differing_without) == (0.0, 0, 0)


def test_a_model_without_clear_answers_gets_no_referee() -> None:
    found = learn(TASK, *logits_of(1000, 3.0, 0), rows=None)
    assert found is not None
    assert found.share > MAX_SHARE
    assert not pays(found)


def test_one_unclear_token_sends_its_text_on() -> None:
    variant, original = logits_of(4000, 0.05, 0)
    by_text, by_token = (learn(TASK, variant, original, rows) for rows in ([4] * 1000, None))
    assert by_text is not None
    assert by_token is not None
    assert by_text.texts == by_token.texts / 4
    assert by_text.share > by_token.share


@pytest.mark.parametrize(("task", "texts"), [(TextRanking("none"), 500), (TASK, LEAST_TEXTS - 1)])
def test_scores_and_too_few_texts_have_no_referee(task: Task, texts: int) -> None:
    assert learn(task, *logits_of(texts, 0.05, 0), rows=None) is None
