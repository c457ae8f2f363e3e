"""evaluate: compare every variant with the original model, and accept those close to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import onnxruntime as ort

from pipeline.evaluation import closeness, layer_search, referee
from pipeline.evaluation.baseline import Baseline
from pipeline.evaluation.candidate import Candidate, speed, take_times
from pipeline.recipe.requirements import check_required, impossible
from pipeline.workspace import evidence
from pipeline.workspace.evidence import EvalDataFacts, Evaluation, Evidence, VariantEvidence
from storage_init.base import cpus
from storage_init.base.errors import WarmstartError
from storage_init.format.measurements import Measurements, VariantMeasurements
from storage_init.format.package import FULL_PRECISION, Packed, Variant
from storage_init.format.tasks import name_of
from storage_init.running import host

if TYPE_CHECKING:
    from pipeline.evaluation.baseline import Measured
    from pipeline.recipe.recipe import Recipe, VariantName
    from pipeline.workspace.evidence import LayerSearch
    from pipeline.workspace.workspace import Workspace
    from storage_init.format.measurements import ShapeTime


class EvaluationError(WarmstartError):
    """No variant came close enough to the original; without FP32 the others do not count."""


@dataclass(frozen=True)
class _Result:
    """A variant that was run here."""

    candidate: Candidate
    measured: Measured
    search: LayerSearch | None = None


def evaluate(workspace: Workspace, recipe: Recipe) -> str:
    """Write the self-test, the evidence and the evaluation into the workspace.

    An int8 that misses its gate is made again without the nodes that do most damage, if the recipe
    allows that and it helps.

    Raises:
        EvalDataError: the evaluation data cannot be read or does not fit the model.
        EvaluationError: no variant passed; the evidence is there all the same.
        RecipeError: a required variant cannot be run here.
    """
    check_required(recipe)
    layer_search.put_back(workspace)
    rejected = impossible(recipe)
    baseline = Baseline.make(workspace, recipe)
    baseline.predictors_selftest().save(workspace.selftest)
    fp32 = _measure(workspace, recipe, "fp32", baseline)
    # The other variants are made of it, and their limits are wider.
    broken = baseline.check_fp32(fp32.candidate) or fp32.measured.failure
    wanted = [name for name in recipe.variants if name not in rejected and name != "fp32"]
    results = {"fp32": fp32} if broken or "fp32" in recipe.variants else {}
    if not broken:
        results |= {name: _measure(workspace, recipe, name, baseline) for name in wanted}
    candidates = [result.candidate for result in results.values()]
    times = take_times(candidates, recipe.bench, baseline.mixed) if candidates else {}
    failures = {name: result.measured.failure for name, result in results.items()}
    rejected |= {name: why for name, why in failures.items() if why}
    if broken:
        rejected = {name: "fp32 failed" for name in recipe.variants if name != "fp32"}
        rejected["fp32"] = broken
    passed = {name: result for name, result in results.items() if name not in rejected}
    accepted = [
        _variant(workspace, recipe, result, refereed=FULL_PRECISION in passed)
        for result in passed.values()
    ]
    entries = [
        _entry(workspace, name, rejected.get(name), results.get(name)) for name in recipe.variants
    ]
    evidence.write(_evidence(recipe, baseline, entries), workspace.evidence)
    if broken:
        raise EvaluationError(
            f"fp32 does not answer as the original does ({broken}): nothing is published"
        )
    if not accepted:
        raise EvaluationError(f"no variant is close enough to the original ({_list(rejected)})")
    evaluation = Evaluation(accepted, rejected, _measurements(recipe, times))
    workspace.evaluation.write_bytes(msgspec.json.encode(evaluation))
    layer_search.forget(workspace)
    said: dict[str, str] = {name: _describe(result) for name, result in passed.items()}
    return _list(said | {name: f"REJECTED, {why}" for name, why in rejected.items()})


def _list(reasons: dict[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in reasons.items())


def _measure(
    workspace: Workspace, recipe: Recipe, name: VariantName, baseline: Baseline
) -> _Result:
    candidate = Candidate.open(workspace, recipe, name, baseline.batches)
    measured = baseline.measure(candidate, recipe.gate(name))
    found = None
    if measured.failure and name == "int8" and recipe.int8.search.max_excluded:
        found, better = layer_search.search(workspace, recipe, baseline)
        if better is not None:
            measured = better
            candidate = Candidate.open(workspace, recipe, name, baseline.batches)
    return _Result(candidate, measured, found)


def _measurements(recipe: Recipe, times: dict[str, list[ShapeTime]]) -> Measurements:
    variants = {
        name: VariantMeasurements(speed(taken, recipe.bench), taken)
        for name, taken in times.items()
    }
    return Measurements(cpu=cpus.cpu_model(), cpus=cpus.usable_cpus(), variants=variants)


def _variant(workspace: Workspace, recipe: Recipe, result: _Result, *, refereed: bool) -> Variant:
    name, measured = result.candidate.name, result.measured
    learnt = measured.referee
    return Variant(
        name=name,
        graph=workspace.relative(workspace.graph(name)),
        requires=recipe.requires(name),
        closeness=measured.closeness,
        batch_sensitivity=measured.batch_sensitivity,
        tolerance=measured.tolerance,
        packed=_packed(workspace, recipe, name),
        precision=recipe.precision(name) or msgspec.UNSET,
        referee=learnt if learnt and refereed and referee.pays(learnt) else msgspec.UNSET,
    )


def _packed(workspace: Workspace, recipe: Recipe, name: VariantName) -> Packed | None:
    """Describe the packed form, which only a host like this one can load."""
    graph = workspace.packed_graph(name)
    if not graph.exists():
        return None
    requires = msgspec.structs.replace(
        recipe.requires(name), cpu_exactly=host.kernel_features(), onnxruntime=ort.__version__
    )
    return Packed(graph=workspace.relative(graph), requires=requires)


def _entry(
    workspace: Workspace,
    name: VariantName,
    reason: str | None,
    result: _Result | None,
) -> VariantEvidence:
    if result is None:
        return VariantEvidence(name, accepted=False, reason=reason)
    measured = result.measured
    folder = workspace.graph(name).parent
    return VariantEvidence(
        name,
        accepted=reason is None,
        reason=reason,
        limits=measured.limits,
        closeness=measured.closeness,
        batch_sensitivity=measured.batch_sensitivity,
        on_evaluation_data=measured.on_evaluation_data,
        worst=measured.worst,
        referee=measured.referee,
        search=result.search,
        size=sum(path.stat().st_size for path in folder.iterdir()),
    )


def _evidence(recipe: Recipe, baseline: Baseline, entries: list[VariantEvidence]) -> Evidence:
    data, used = recipe.eval_data, baseline.evaluation
    facts = None
    if used is not None and data.path is not None and data.sha256 is not None:
        texts = len(used.texts) // 2 if used.paired else len(used.texts)
        facts = EvalDataFacts(data.sha256, texts, used.labels is not None)
    return Evidence(
        task=name_of(baseline.task),
        labels=getattr(baseline.task, "labels", []),
        selftest_texts=len(baseline.selftest.texts),
        eval_data=facts,
        original=used.scores if used is not None else None,
        variants=entries,
    )


def _describe(result: _Result) -> str:
    """Say in a few words how close a variant is."""
    said = closeness.describe(result.measured.closeness)
    found = result.measured.on_evaluation_data
    if found is not None and found.scores is not None:
        said += f", accuracy {found.scores.accuracy:.2%}"
    if result.search is not None:
        left, all_nodes = len(result.search.excluded), len(result.search.damages)
        said += f", {left} of {all_nodes} nodes at full precision"
    return said
