"""``python -m benchmarks.quality``: how much accuracy a trained model's variants lose.

Models are trained on real sentences and prepared by the pipeline's command, with 2,000 others as
evaluation data. The published graphs answer 2,500 sentences that neither has seen, each alone and
in batches of 16 of mixed lengths. Beside them are the original in PyTorch, int8 with fp32 as its
referee, and ONNX Runtime's dynamic int8 of the same model. Then the referee is learnt again from
200 random choices of all these sentences, to see how often its bound holds on the others.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks import models
from benchmarks.harness import machine, report
from benchmarks.models import Prepared
from benchmarks.quality import sentiment
from benchmarks.quality.answers import Asked, Logits
from benchmarks.quality.splits import Splits, judge_splits
from benchmarks.quality.subjects import SUBJECTS, Subject, prepare
from benchmarks.quality.tagging import UNLABELLED
from pipeline.evaluation.comparison import label_scores
from pipeline.evaluation.examples import Batches
from pipeline.original.library import answers, open_original
from pipeline.workspace import evidence
from pipeline.workspace.evidence import LayerSearch
from storage_init.format.package import EVIDENCE_FILE, Referee
from storage_init.raw.hf_config import read_facts

ORIGINAL = "original, PyTorch"
REFEREED = "int8 with its referee"
BASELINE = "ONNX Runtime's dynamic int8"
# The target: int8 loses at most a point against fp32.
POINT = 0.01
# The target: the share of texts whose labels differ from fp32's, with the referee.
THOUSANDTH = 0.001


class Answered(msgspec.Struct, frozen=True):
    """A graph on the held-out sentences.

    ``accuracy`` and ``macro_f1`` are those of labels: a tagger's of its words. The others count
    sentences: in which a label is not fp32's, and in which one changes in batches of 16.
    """

    name: str
    accuracy: float
    macro_f1: float
    differing_from_fp32: int | None
    flipped: int | None


class Quality(msgspec.Struct, frozen=True):
    """The result; ``reasons`` says for each variant why it was not published, None if it was.

    ``referee``: what the package says of it. ``sent_on``: the share of held-out sentences that the
    referee answers. ``splits``: how the bound holds. All three are None without a referee.
    """

    model: str
    training: int
    held_out: int
    answered: list[Answered]
    reasons: dict[str, str | None]
    search: LayerSearch | None
    referee: Referee | None = None
    sent_on: float | None = None
    splits: Splits | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Train or find the models, prepare them, measure, and print and write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    known = ", ".join(SUBJECTS)
    add("models", nargs="*", metavar="MODEL", help=f"of {known} (default: all)")
    add("--folder", type=Path, default=Path(".bench"), help="keeps the models")
    add("--out", type=Path, help="folder of the report (default: in --folder)")
    about = "hold int8 to this label agreement, to see the search for layers at work"
    add("--strict", type=float, metavar="SHARE", help=about)
    given = parser.parse_args(argv)
    if unknown := set(given.models).difference(SUBJECTS):
        parser.error(f"unknown model {unknown.pop()}: choose from {known}")
    work = given.folder.resolve()
    results = [
        measure(
            SUBJECTS[name],
            work,
            given.strict,
            lambda line: print(line, file=sys.stderr, flush=True),
        )
        for name in given.models or SUBJECTS
    ]
    command = " ".join(["python -m benchmarks.quality", *(argv or sys.argv[1:])])
    out, described = given.out or work / "reports" / "quality", machine.describe()
    goals = [goal for result in results for goal in targets(result)]
    tables = [table(result) for result in results]
    print(report.write(out, described, command, {"quality": results}, goals, tables))
    return 0


def measure(
    subject: Subject, work: Path, strict: float | None, say: Callable[[str], None]
) -> Quality:
    """Prepare a trained model and let every graph answer the held-out sentences.

    ``strict`` is the label agreement that int8 must reach; None for the default recipe's.
    """
    training, evaluation, held_out = sentiment.load(work)
    made = prepare(subject, work, strict, say)
    facts = read_facts(made.source)
    batches = Batches(facts.task, made.open_tokenizer())
    asked = Asked.of(batches, [sentence.text for sentence in held_out])
    texts = [sentence.text for sentence in held_out]
    say(f"{ORIGINAL}: {len(texts)} sentences")
    original = answers(open_original(made.source, facts), texts)[asked.labelled]
    logits = {ORIGINAL: Logits(original)}
    graphs = _graphs(made, work)
    for name, graph in graphs.items():
        say(f"{name}: {len(texts)} sentences, alone and in batches")
        logits[name] = asked.answers(graph)
    int8 = next((each for each in made.package.variants if each.name == "int8"), None)
    referee = (int8.referee or None) if int8 else None
    share = splits = None
    if referee is not None:
        logits[REFEREED], share = asked.refereed(logits["int8"], logits["fp32"], referee.margin)
        say(f"int8 and fp32: {len(evaluation)} sentences of the evaluation")
        known = Asked.of(batches, [sentence.text for sentence in evaluation])
        again = [known.answers(graphs[name], mixed=False).alone for name in ("int8", "fp32")]
        held = [logits[name].alone for name in ("int8", "fp32")]
        pairs = zip(known.leads(*again), asked.leads(*held), strict=True)
        margins, leads = (np.concatenate(pair) for pair in pairs)
        splits = judge_splits(margins, leads, len(evaluation))
    kept = evidence.read(made.folder / EVIDENCE_FILE)
    gold = np.array(subject.gold(held_out, work, asked.encodings))[asked.labelled]
    return Quality(
        model=made.name,
        training=len(training[: subject.most]),
        held_out=len(texts),
        answered=[answered(name, logits, asked, gold) for name in logits],
        reasons={variant.name: variant.reason for variant in kept.variants},
        search=kept.variant("int8").search,
        referee=referee,
        sent_on=share,
        splits=splits,
    )


def _graphs(made: Prepared, work: Path) -> dict[str, Path]:
    """The published variants that run on the CPU provider, and ONNX Runtime's own int8."""
    graphs = {
        variant.name: made.folder / variant.graph
        for variant in made.package.variants
        if variant.precision is msgspec.UNSET
    }
    return graphs | {BASELINE: models.dynamic_int8(models.fused_graph(made, work))}


def answered(name: str, logits: dict[str, Logits], asked: Asked, gold: NDArray[Any]) -> Answered:
    """Compare a graph's answers with the right labels, with fp32's and with its own in batches."""
    found, known = logits[name], gold != UNLABELLED
    scores = label_scores(gold[known].tolist(), found.alone[known])
    assert scores is not None  # noqa: S101 - there are labels
    exact = logits["fp32"].alone
    return Answered(
        name=name,
        accuracy=scores.accuracy,
        macro_f1=scores.macro_f1,
        differing_from_fp32=asked.differing(found.alone, exact) if name != "fp32" else None,
        flipped=None if found.mixed is None else asked.differing(found.mixed, found.alone),
    )


def targets(result: Quality) -> list[report.Target]:
    """Judge what int8 loses against fp32, with its referee and without, and the referee's bound."""
    by_name = {each.name: each for each in result.answered}
    what, limit = f"{result.model}: accuracy of int8 below fp32's", "at most 1 point"
    if "int8" not in by_name:
        why = result.reasons["int8"] or "not published"
        return [report.Target("1", what, limit, why, met=False)]
    lost = by_name["fp32"].accuracy - by_name["int8"].accuracy
    found = [report.Target("1", what, limit, f"{lost * 100:.2f} points", met=lost <= POINT)]
    what, limit = f"{result.model}: sentences with another label than fp32's", "at most 0.1%"
    if result.referee is None or result.splits is None:
        return [*found, report.Target("2", what, limit, "no referee", met=False)]
    share = (by_name[REFEREED].differing_from_fp32 or 0) / result.held_out
    found.append(report.Target("2", what, limit, f"{share:.2%}", met=share <= THOUSANDTH))
    what, exceeded = f"{result.model}: splits that exceed the bound", result.splits.rate_exceeded
    allowed = 1 - result.splits.confidence
    limit = f"at most {allowed:.0%}"
    return [*found, report.Target("3", what, limit, f"{exceeded:.1%}", met=exceeded <= allowed)]


def table(result: Quality) -> report.Table:
    """Make a table with a row for each graph."""

    def count(number: int | None) -> str:
        return report.NOTHING if number is None else f"{number} ({number / result.held_out:.2%})"

    rows = [
        [
            *(each.name, f"{each.accuracy:.2%}", f"{each.macro_f1:.4f}"),
            *(count(each.differing_from_fp32), count(each.flipped)),
        ]
        for each in result.answered
    ]
    header = ["", "accuracy", "macro F1", "labels unlike fp32's", "labels flipped in batches of 16"]
    notes = [f"{name}: {why}." for name, why in result.reasons.items() if why]
    if result.search is not None and result.search.excluded:
        left, nodes = result.search.excluded, len(result.search.damages)
        notes.append(f"int8 leaves {len(left)} of {nodes} nodes as they are: {', '.join(left)}.")
    if result.sent_on is not None:
        notes.append(f"The referee answers {result.sent_on:.2%} of the sentences.")
    if (stated := result.referee) is not None:
        notes.append(
            f"The package says: of {stated.texts} texts, {stated.differing_without} labels differ "
            f"without the referee and {stated.differing} with it, {stated.share:.2%} are sent on, "
            f"and at most {stated.bound:.2%} differ."
        )
    if result.splits is not None:
        notes.append(result.splits.text())
    title = f"{result.model}: {result.held_out} held-out sentences, {result.training} to train on"
    return report.Table(title, header, rows, notes)


if __name__ == "__main__":
    sys.exit(main())
