"""Learns when a reduced variant needs a second opinion, and what its labels are worth with one.

Reducing a model moves its logits a little, so only a label with a small lead can change. Texts with
a smaller lead than a margin are answered by the full-precision variant instead. The margin is
learnt on one half of the evaluation data and judged on the other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from storage_init.format.package import Referee
from storage_init.running.margins import has_labels, lead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from storage_init.format.tasks import Task

# Fewer texts cannot show that labels rarely differ: 3 / n is the bound if none of n differs.
LEAST_TEXTS = 200
# Labels that may still differ, as learnt: well below the thousandth that the judged half shows.
TARGET = 0.0003
CONFIDENCE = 0.95
# A referee for more texts than this costs more than the reduced variant saves.
MAX_SHARE = 0.2


def learn(
    task: Task, answers: NDArray[Any], baseline: NDArray[Any], rows: Sequence[int] | None
) -> Referee | None:
    """The referee of a variant; None if the task has no labels, or for too few texts.

    Args:
        task: the model's.
        answers: the variant's logits [R, C], each text alone.
        baseline: the original model's, [R, C].
        rows: the number of rows of each text, None for one.
    """
    texts = len(answers) if rows is None else len(rows)
    if not has_labels(task) or texts < LEAST_TEXTS:
        return None
    return learn_and_judge(*margins_and_leads(task, answers, baseline, rows))


def margins_and_leads(
    task: Task, answers: NDArray[Any], baseline: NDArray[Any], rows: Sequence[int] | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The lead [N] of each text's label in the variant's logits, and the same label's in others.

    The second is negative where the labels differ. The arguments are those of :func:`learn`.
    """
    ends = np.cumsum(rows if rows is not None else [1] * len(answers))[:-1]
    pairs = list(zip(np.split(answers, ends), np.split(baseline, ends), strict=True))
    margins = np.array([lead(task, got, got) for got, _ in pairs])
    return margins, np.array([lead(task, got, want) for got, want in pairs])


def learn_and_judge(margins: NDArray[Any], leads: NDArray[Any], seed: int = 0) -> Referee:
    """Learn the margin on one half of the texts, and judge it on the other.

    The same ``seed`` gives the same halves, so that the same answers give the same package.
    """
    order = np.random.default_rng(seed).permutation(len(margins))
    half = len(margins) // 2
    margin = learn_margin(margins[order[:half]], leads[order[:half]])
    return judge(margin, margins[order[half:]], leads[order[half:]])


def pays(learnt: Referee) -> bool:
    """Whether few enough texts need the referee."""
    return learnt.share <= MAX_SHARE


def learn_margin(margins: NDArray[Any], leads: NDArray[Any], target: float = TARGET) -> float:
    """The smallest margin above which labels are expected to differ on ``target`` of the texts.

    Args:
        margins: the lead [N] of each text's label in the variant's logits.
        leads: the lead [N] of the same label in the original's; negative where labels differ.
        target: a share of all texts.

    A label differs where the loss of lead exceeds the margin. Every loss is compared with every
    margin, as if any text could have had it: that estimates a rate far below 1 / N, which counting
    the few labels that differ cannot.
    """
    finite = np.isfinite(margins)
    every = np.sort(margins[finite])
    losses = np.sort(margins[finite] - leads[finite])
    if not every.size:
        return 0.0
    # The chance that a text of this margin has a larger loss, summed from the largest margin down.
    chances = 1 - np.searchsorted(losses, every, side="right") / len(losses)
    differing = np.cumsum(chances[::-1])[::-1] / len(margins)
    if differing[0] <= target:
        return 0.0
    above = np.flatnonzero(differing <= target)
    # A text is sent on if its margin is smaller, so the first text that is kept sets the margin.
    learnt = every[above[0]] if above.size else np.nextafter(every[-1], np.inf)
    return float(learnt)


def judge(
    margin: float, margins: NDArray[Any], leads: NDArray[Any], confidence: float = CONFIDENCE
) -> Referee:
    """Count what a margin does on texts that it was not learnt on."""
    sent = margins < margin
    differing = int(np.count_nonzero(~sent & (leads < 0)))
    return Referee(
        margin=margin,
        share=float(sent.mean()),
        texts=len(margins),
        differing=differing,
        differing_without=int(np.count_nonzero(leads < 0)),
        bound=upper_bound(differing, len(margins), confidence),
        confidence=confidence,
    )


def upper_bound(events: int, trials: int, confidence: float) -> float:
    """The largest rate at which no more than ``events`` of ``trials`` are still this likely.

    The one-sided exact bound of a binomial rate. Source: Clopper and Pearson, "The Use of
    Confidence or Fiducial Limits Illustrated in the Case of the Binomial" (1934).
    """
    if events >= trials:
        return 1.0
    low, high = events / trials, 1.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        if _at_most(events, trials, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(events: int, trials: int, rate: float) -> float:
    """The probability of ``events`` or fewer of ``trials``, each with this rate."""
    if rate <= 0:
        return 1.0
    logs = (
        math.lgamma(trials + 1)
        - math.lgamma(count + 1)
        - math.lgamma(trials - count + 1)
        + count * math.log(rate)
        + (trials - count) * math.log1p(-rate)
        for count in range(events + 1)
    )
    return math.fsum(map(math.exp, logs))
