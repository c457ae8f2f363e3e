"""evaluate: every variant against the original; only those close to it go on."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import onnxruntime as ort

from pipeline import closeness, probes
from pipeline.examples import Batch, Batches, mixed_examples, selftest_examples
from pipeline.possible import check_required, impossible
from pipeline.reference import reference_outputs
from storage_init import host
from storage_init.errors import WarmstartError
from storage_init.package import TOKENIZER_FILE, Packed, Speed, Variant
from storage_init.runtime import Tokenizer, cut_of, input_names, open_session, run_rows
from storage_init.selftest import SelfTest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import tokenizers
    from numpy.typing import NDArray

    from pipeline.recipe import Recipe, VariantName
    from pipeline.workspace import Workspace

TIMED_ROUNDS = 3


class EvaluationError(WarmstartError):
    """No variant came close enough to the original to be published."""


class Evaluation(msgspec.Struct, frozen=True):
    """The variants that passed their gates, and why the others did not."""

    accepted: list[Variant]
    rejected: dict[str, str]


def evaluate(workspace: Workspace, recipe: Recipe) -> str:
    """Write the self-test and the evaluation into the workspace.

    Raises:
        EvaluationError: no variant passed.
        RecipeError: a required variant cannot be run here.
    """
    check_required(recipe)
    rejected = impossible(recipe)
    facts = workspace.facts(recipe)
    task = facts.task
    tokenizer = Tokenizer(
        workspace.exported / TOKENIZER_FILE,
        facts.limits.max_length,
        facts.pad_token_id,
        cut_of(task),
    )
    examples = selftest_examples(task, recipe.selftest_texts)
    batches = Batches(task, tokenizer)
    encodings = tokenizer.encode_batch([*examples, *mixed_examples(task, examples)])
    selftest = SelfTest(
        [example if isinstance(example, str) else example[0] for example in examples],
        reference_outputs(workspace, facts, examples, tokenizer),
        batches.rows(encodings[: len(examples)]),
        [pair[1] for pair in examples if not isinstance(pair, str)] or None,
    )
    selftest.save(workspace.selftest)
    candidates = [
        _Candidate.open(name, _session(workspace, recipe, name), batches, encodings)
        for name in recipe.variants
        if name not in rejected
    ]
    speeds = _speeds(candidates)
    accepted = []
    for candidate in candidates:
        alone, together = candidate.run_alone(), candidate.run_together()
        known = alone[: len(selftest.reference)]
        close = closeness.closeness(task, known, selftest.reference, selftest.rows)
        failure = closeness.gate_failure(task, close, recipe.gate(candidate.name))
        if failure is None and not np.isfinite(together).all():
            failure = "values that are not finite in a padded batch"
        if failure:
            rejected[candidate.name] = failure
            continue
        accepted.append(
            Variant(
                name=candidate.name,
                graph=workspace.relative(workspace.graph(candidate.name)),
                requires=recipe.requires(candidate.name),
                closeness=close,
                batch_sensitivity=closeness.batch_sensitivity(
                    task, alone, together, batches.rows(encodings)
                ),
                speed=speeds[candidate.name],
                tolerance=closeness.tolerance(task, known, selftest.reference),
                packed=_packed(workspace, recipe, candidate.name),
                precision=recipe.precision(candidate.name) or msgspec.UNSET,
            )
        )
    if not accepted:
        raise EvaluationError(f"no variant is close enough to the original ({_list(rejected)})")
    workspace.evaluation.write_bytes(msgspec.json.encode(Evaluation(accepted, rejected)))
    passed = {variant.name: closeness.describe(variant.closeness) for variant in accepted}
    return _list(passed | {name: f"REJECTED, {why}" for name, why in rejected.items()})


def _list(reasons: dict[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in reasons.items())


def _session(workspace: Workspace, recipe: Recipe, name: VariantName) -> ort.InferenceSession:
    return open_session(
        workspace.graph(name),
        provider=recipe.requires(name).provider,
        precision=recipe.precision(name),
    )


def _packed(workspace: Workspace, recipe: Recipe, name: VariantName) -> Packed | None:
    """The form that was packed here, with this host as its requirement."""
    graph = workspace.packed_graph(name)
    if not graph.exists():
        return None
    requires = msgspec.structs.replace(
        recipe.requires(name), cpu_exactly=host.kernel_features(), onnxruntime=ort.__version__
    )
    return Packed(graph=workspace.relative(graph), requires=requires)


@dataclass(frozen=True)
class _Candidate:
    """A variant's session with its inputs: each text alone, in mixed batches, and to time."""

    name: VariantName
    session: ort.InferenceSession
    alone: list[Batch]
    together: list[Batch]
    singles: list[Batch]
    full: list[Batch]

    @classmethod
    def open(
        cls,
        name: VariantName,
        session: ort.InferenceSession,
        batches: Batches,
        encodings: list[tokenizers.Encoding],
    ) -> _Candidate:
        names = input_names(session)
        typical = probes.typical(encodings)

        def made(groups: Iterable[Sequence[tokenizers.Encoding]]) -> list[Batch]:
            return [batches.make(group, names) for group in groups]

        return cls(
            name,
            session,
            alone=made([encoding] for encoding in encodings),
            together=made(probes.batches(encodings)),
            singles=made([encoding] for encoding in typical),
            # Of one length: what padding costs is up to who forms the batches.
            full=made([encoding] * probes.BATCH for encoding in typical),
        )

    def run_alone(self) -> NDArray[Any]:
        return self._run(self.alone)

    def run_together(self) -> NDArray[Any]:
        return self._run(self.together)

    def milliseconds(self, batches: list[Batch]) -> float:
        """A text's share of the time that these batches take."""
        start = time.perf_counter()
        self._run(batches)
        seconds = time.perf_counter() - start
        return seconds * 1000 / sum(batch.texts for batch in batches)

    def _run(self, batches: list[Batch]) -> NDArray[Any]:
        return np.concatenate([run_rows(self.session, *batch) for batch in batches])


def _speeds(candidates: list[_Candidate]) -> dict[str, Speed]:
    """Median times, the variants taking turns so that noise hits all alike."""
    alone: dict[str, list[float]] = {candidate.name: [] for candidate in candidates}
    batched: dict[str, list[float]] = {candidate.name: [] for candidate in candidates}
    for _ in range(TIMED_ROUNDS):
        for candidate in candidates:
            alone[candidate.name].append(candidate.milliseconds(candidate.singles))
            batched[candidate.name].append(candidate.milliseconds(candidate.full))
    return {
        name: Speed(
            cpu=host.cpu_model(),
            alone_ms=round(statistics.median(alone[name]), 3),
            batched_ms=round(statistics.median(batched[name]), 3),
            batch=probes.BATCH,
        )
        for name in alone
    }
