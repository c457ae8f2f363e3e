"""evaluate: every variant against the original, on the self-test texts; only the close go on."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from pipeline import closeness
from pipeline.reference import reference_outputs
from storage_init import host
from storage_init.errors import WarmstartError
from storage_init.package import TOKENIZER_FILE, Requires, Speed, Variant
from storage_init.runtime import Feeds, Tokenizer, input_names, open_session, run_first
from storage_init.selftest import SelfTest

if TYPE_CHECKING:
    from pathlib import Path

    import onnxruntime as ort
    from numpy.typing import NDArray

    from pipeline.recipe import Recipe, VariantName
    from pipeline.workspace import Workspace

REQUIRES = {"fp32": Requires(), "int8": Requires(cpu_any_of=host.EXACT_INT8)}
TIMED_ROUNDS = 5


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
    """
    facts = workspace.facts(recipe)
    tokenizer = Tokenizer(
        workspace.exported / TOKENIZER_FILE, facts.limits.max_length, facts.pad_token_id
    )
    selftest = SelfTest(
        list(recipe.selftest_texts),
        reference_outputs(workspace, facts, recipe.selftest_texts, tokenizer),
    )
    selftest.save(workspace.selftest)
    rejected: dict[str, str] = {n: why for n in recipe.variants if (why := host.unmet(REQUIRES[n]))}
    candidates = [
        _Candidate.open(name, workspace.graph(name), tokenizer, selftest.texts)
        for name in recipe.variants
        if name not in rejected
    ]
    speeds = _speeds(candidates)
    accepted = []
    for candidate in candidates:
        alone, together = candidate.run_alone(), candidate.run_together()
        close = closeness.closeness(facts.task, alone, selftest.reference)
        failure = closeness.gate_failure(close, recipe.gate(candidate.name))
        if failure is None and not np.isfinite(together).all():
            failure = "values that are not finite in a padded batch"
        if failure:
            rejected[candidate.name] = failure
            continue
        accepted.append(
            Variant(
                name=candidate.name,
                graph=workspace.graph(candidate.name).relative_to(workspace.variants).as_posix(),
                requires=REQUIRES[candidate.name],
                closeness=close,
                batch_sensitivity=closeness.batch_sensitivity(facts.task, alone, together),
                speed=speeds[candidate.name],
                tolerance=closeness.tolerance(facts.task, alone, selftest.reference),
            )
        )
    if not accepted:
        raise EvaluationError(f"no variant is close enough to the original ({_list(rejected)})")
    workspace.evaluation.write_bytes(msgspec.json.encode(Evaluation(accepted, rejected)))
    passed = {variant.name: closeness.describe(variant.closeness) for variant in accepted}
    return _list(passed | {name: f"REJECTED, {why}" for name, why in rejected.items()})


def _list(reasons: dict[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in reasons.items())


@dataclass(frozen=True)
class _Candidate:
    """A variant's session with the self-test's inputs, alone and as one padded batch."""

    name: VariantName
    session: ort.InferenceSession
    alone: list[Feeds]
    together: Feeds

    @classmethod
    def open(
        cls, name: VariantName, graph: Path, tokenizer: Tokenizer, texts: list[str]
    ) -> _Candidate:
        session = open_session(graph)
        names = input_names(session)
        encodings = tokenizer.encode(texts)
        alone = [tokenizer.feeds([encoding], names) for encoding in encodings]
        return cls(name, session, alone, tokenizer.feeds(encodings, names))

    def run_alone(self) -> NDArray[Any]:
        return np.concatenate([run_first(self.session, feeds) for feeds in self.alone])

    def run_together(self) -> NDArray[Any]:
        return run_first(self.session, self.together)


def _speeds(candidates: list[_Candidate]) -> dict[str, Speed]:
    """Median time of a text alone, the variants taking turns so that noise hits all alike."""
    seconds: dict[str, list[float]] = {candidate.name: [] for candidate in candidates}
    for _ in range(TIMED_ROUNDS):
        for candidate in candidates:
            for feeds in candidate.alone:
                start = time.perf_counter()
                run_first(candidate.session, feeds)
                seconds[candidate.name].append(time.perf_counter() - start)
    cpu = host.cpu_model()
    return {
        name: Speed(cpu=cpu, median_ms=round(statistics.median(times) * 1000, 3))
        for name, times in seconds.items()
    }
