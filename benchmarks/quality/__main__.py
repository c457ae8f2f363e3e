"""``python -m benchmarks.quality``: how much accuracy a trained classifier's variants lose.

MiniLM is trained on real labelled sentences and prepared by the pipeline's command, with 2,000
others as evaluation data. The published graphs answer 2,500 sentences that neither has seen, each
alone and in batches of 16 of mixed lengths. Beside them are the original in PyTorch, int8 with fp32
as its referee, and ONNX Runtime's dynamic int8 of the same model.
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
from pipeline.evaluation.candidate import Candidate
from pipeline.evaluation.comparison import label_scores
from pipeline.evaluation.examples import Batches
from pipeline.original.library import answers, open_original
from pipeline.workspace import evidence
from pipeline.workspace.evidence import LayerSearch
from storage_init.format.package import EVIDENCE_FILE
from storage_init.raw.hf_config import read_facts
from storage_init.running.margins import lead
from storage_init.running.session import open_session

NAME = "sentiment"
ORIGINAL = "original, PyTorch"
REFEREED = "int8 with its referee"
BASELINE = "ONNX Runtime's dynamic int8"
# The target: int8 loses at most a point against fp32.
POINT = 0.01
# A stricter limit, which plain int8 misses, so that the search for layers has something to do.
STRICT = "int8: {gate: {evaluation: {min_label_agreement: %s}}}\n"

# Logits [N, C] of the sentences, each alone and in batches; the original has no batches.
Logits = tuple[NDArray[Any], "NDArray[Any] | None"]


class Answered(msgspec.Struct, frozen=True):
    """A graph on the held-out sentences; ``flipped`` counts labels that change in batches of 16."""

    name: str
    accuracy: float
    macro_f1: float
    differing_from_fp32: int | None
    flipped: int | None


class Quality(msgspec.Struct, frozen=True):
    """The result; ``reasons`` says for each variant why it was not published, None if it was.

    ``sent_on``: the share of held-out sentences that the referee answers; None without one.
    """

    training: int
    held_out: int
    answered: list[Answered]
    reasons: dict[str, str | None]
    search: LayerSearch | None
    sent_on: float | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Train or find the model, prepare it, measure, and print and write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--folder", type=Path, default=Path(".bench"), help="keeps the models")
    add("--out", type=Path, help="folder of the report (default: in --folder)")
    about = "hold int8 to this label agreement, to see the search for layers at work"
    add("--strict", type=float, metavar="SHARE", help=about)
    given = parser.parse_args(argv)
    work = given.folder.resolve()
    result = measure(work, given.strict, lambda line: print(line, file=sys.stderr, flush=True))
    command = " ".join(["python -m benchmarks.quality", *(argv or sys.argv[1:])])
    out, described = given.out or work / "reports" / NAME, machine.describe()
    parts = {"quality": result}
    print(report.write(out, described, command, parts, targets(result), [table(result)]))
    return 0


def measure(work: Path, strict: float | None, say: Callable[[str], None]) -> Quality:
    """Prepare the trained model and let every graph answer the held-out sentences.

    ``strict`` is the label agreement that int8 must reach; None for the default recipe's.
    """
    training, evaluation, held_out = sentiment.load(work)
    source = work / f"{NAME}-minilm"
    if not (source / "tokenizer.json").exists():
        sentiment.finetune(training, source, say)
    made = _prepare(source, work, evaluation, strict)
    texts = [sentence.text for sentence in held_out]
    labels = [sentence.label for sentence in held_out]
    facts = read_facts(source)
    say(f"{ORIGINAL}: {len(texts)} sentences")
    logits: dict[str, Logits] = {ORIGINAL: (answers(open_original(source, facts), texts), None)}
    batches = Batches(facts.task, made.open_tokenizer())
    encodings = batches.tokenizer.encode(texts)
    for name, graph in _graphs(made, work).items():
        say(f"{name}: {len(texts)} sentences, alone and in batches")
        candidate = Candidate("int8", open_session(graph), batches)
        logits[name] = candidate.run_alone(encodings), candidate.run_together(encodings)
    refereed, share = _refereed(made, logits)
    logits |= refereed
    kept = evidence.read(made.folder / EVIDENCE_FILE)
    return Quality(
        training=len(training),
        held_out=len(texts),
        answered=[answered(name, logits, labels) for name in logits],
        reasons={variant.name: variant.reason for variant in kept.variants},
        search=kept.variant("int8").search,
        sent_on=share,
    )


def _refereed(made: Prepared, logits: dict[str, Logits]) -> tuple[dict[str, Logits], float | None]:
    """The answers of int8 with fp32 as its referee, if published, and the share fp32 answers."""
    int8 = next((each for each in made.package.variants if each.name == "int8"), None)
    if int8 is None or not int8.referee:
        return {}, None
    margin, task = int8.referee.margin, made.package.task

    def unclear(answers: NDArray[Any]) -> NDArray[np.bool_]:
        return np.array([[lead(task, row[None], row[None]) < margin] for row in answers])

    (alone, mixed), (exact, exact_mixed) = logits["int8"], logits["fp32"]
    assert mixed is not None and exact_mixed is not None  # noqa: S101 - both have batches
    answers = tuple(
        np.where(unclear(fast), slow, fast) for fast, slow in ((alone, exact), (mixed, exact_mixed))
    )
    return {REFEREED: (answers[0], answers[1])}, float(unclear(alone).mean())


def _prepare(
    source: Path, work: Path, evaluation: Sequence[sentiment.Sentence], strict: float | None
) -> Prepared:
    data, recipe = work / "evaluation.jsonl", work / f"{NAME}.yaml"
    rows = [{"text": one.text, "label": sentiment.LABELS[one.label]} for one in evaluation]
    data.write_bytes(msgspec.json.Encoder().encode_lines(rows))
    # bf16 is measured, too, on hosts that can run it.
    recipe.write_text(
        "variants: [fp32, int8, bf16-openvino]\nbf16-openvino: {required: false}\n"
        + (STRICT % strict if strict is not None else "")
    )
    name = NAME if strict is None else f"{NAME}-strict"
    flags = [f"--recipe={recipe}", f"--eval-data={data}"]
    return models.prepare_source(source, name, work / "store", flags)


def _graphs(made: Prepared, work: Path) -> dict[str, Path]:
    """The published variants that run on the CPU provider, and ONNX Runtime's own int8."""
    graphs = {
        variant.name: made.folder / variant.graph
        for variant in made.package.variants
        if variant.precision is msgspec.UNSET
    }
    return graphs | {BASELINE: _dynamic_int8(made, work)}


def _dynamic_int8(made: Prepared, work: Path) -> Path:
    """Quantise as ONNX Runtime advises for x86 without VNNI: a scale per column, 7 bits."""
    import onnx
    from onnxruntime.quantization import quantize_dynamic

    fused = models.fused_graph(made, work)
    target = fused.with_name("dynamic-int8.onnx")
    if not target.exists():
        # Shape inference does not know the fused operators.
        options = {"DefaultTensorType": onnx.TensorProto.FLOAT}
        quantize_dynamic(fused, target, per_channel=True, reduce_range=True, extra_options=options)
    return target


def answered(name: str, logits: dict[str, Logits], labels: list[int]) -> Answered:
    """Compare a graph's answers with the labels, with fp32's and with its own in batches."""
    alone, mixed = logits[name]
    scores = label_scores(labels, alone)
    assert scores is not None  # noqa: S101 - there are labels
    return Answered(
        name=name,
        accuracy=scores.accuracy,
        macro_f1=scores.macro_f1,
        differing_from_fp32=_differing(alone, logits["fp32"][0]) if name != "fp32" else None,
        flipped=None if mixed is None else _differing(mixed, alone),
    )


def _differing(left: NDArray[Any], right: NDArray[Any]) -> int:
    return int(np.count_nonzero(left.argmax(axis=1) != right.argmax(axis=1)))


def targets(result: Quality) -> list[report.Target]:
    """Judge how much accuracy int8 loses against fp32."""
    accuracy = {each.name: each.accuracy for each in result.answered}
    what, limit = "accuracy of int8 below fp32's", "at most 1 point"
    if "int8" not in accuracy:
        why = result.reasons["int8"] or "not published"
        return [report.Target("2", what, limit, why, met=False)]
    lost = accuracy["fp32"] - accuracy["int8"]
    return [report.Target("2", what, limit, f"{lost * 100:.2f} points", met=lost <= POINT)]


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
    title = f"{result.held_out} held-out sentences, {result.training} to train on"
    return report.Table(title, header, rows, notes)


if __name__ == "__main__":
    sys.exit(main())
