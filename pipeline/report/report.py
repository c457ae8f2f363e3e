"""The report: one HTML page that stands by itself, in the package and on KFP's page of the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jinja2

from storage_init.base.sizes import size
from storage_init.format.package import TextClassification, TextEmbedding, TextRanking

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sequence

    from pipeline.report.footprint import Footprint
    from pipeline.workspace.records import Record
    from storage_init.format.package import Package, Variant

TEMPLATE = "report.html.jinja"
# Operators that ONNX Runtime's encoder fusions make, and those that they would have replaced.
FUSED = {
    "Attention",
    "BiasGelu",
    "EmbedLayerNormalization",
    "FastGelu",
    "Gelu",
    "MultiHeadAttention",
    "QuickGelu",
    "RotaryEmbedding",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
}
UNFUSED = {"Erf", "LayerNormalization", "Softmax", "Tanh"}


@dataclass(frozen=True)
class Findings:
    """What a page says beside the package's own description.

    Args:
        sizes: bytes of each variant's files.
        rejected: why a variant was not published.
        operators: how often each occurs in the fp32 graph.
        steps: those that are done.
        footprints: the memory of a process that serves a variant, where it could be measured.
        evidence: ``evidence.json``, if there is one.
    """

    sizes: Mapping[str, int]
    rejected: Mapping[str, str]
    operators: Counter[str]
    steps: Sequence[Record]
    footprints: Mapping[str, Footprint]
    evidence: Mapping[str, Any] | None = None


def render(package: Package, findings: Findings) -> str:
    """The page as HTML. Texts and names in it are somebody else's, and all escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(TEMPLATE).render(
        name=package.name,
        source=package.source,
        task=_task_name(package),
        labels=getattr(package.task, "labels", []),
        is_embedding=isinstance(package.task, TextEmbedding),
        is_ranking=isinstance(package.task, TextRanking),
        is_classification=isinstance(package.task, TextClassification),
        max_length=package.limits.max_length,
        recipe_digest=package.recipe_digest,
        accepted=package.variants,
        rejected=findings.rejected,
        sizes=findings.sizes,
        size=size,
        needs=_needs,
        answer=_answer,
        size_rows=_rows(findings.sizes, size),
        speed_rows=_rows({v.name: v.speed.alone_ms for v in package.variants}, "{:.2f}".format),
        memory_rows=[
            {
                "name": name,
                "parts": [found.private, found.shared],
                "total": found.private + found.shared,
                "text": f"{size(found.private)} + {size(found.shared)}",
            }
            for name, found in findings.footprints.items()
        ],
        evidence=findings.evidence,
        operators=_operators(findings.operators),
        fused_sentence=_fused_sentence(findings.operators),
        steps=findings.steps,
        tools=package.tools,
        deployment=deployment(package.name),
    )


def deployment(name: str) -> str:
    """An InferenceService for a model of the store, as ``manifests/base`` has one."""
    return f"""\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {_kubernetes_name(name)}
  annotations:
    serving.kserve.io/deploymentMode: Standard
spec:
  predictor:
    minReplicas: 1
    automountServiceAccountToken: false
    enableServiceLinks: false
    model:
      modelFormat:
        name: warmstart
      runtime: warmstart
      protocolVersion: v2
      storageUri: pvc://model-store/models/{name}/current
"""


def _kubernetes_name(name: str) -> str:
    """A model's name as Kubernetes takes one: lower case, letters, digits and dashes."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower()).strip("-")
    return kept[:63].rstrip("-") if kept[:1].isalpha() else f"model-{kept}"[:63].rstrip("-")


def _task_name(package: Package) -> str:
    return str(package.task.__struct_config__.tag)


def _rows(values: Mapping[str, float], shown: Any) -> list[dict[str, Any]]:
    return [
        {"name": name, "parts": [value], "total": value, "text": shown(value)}
        for name, value in values.items()
    ]


def _needs(variant: Variant) -> str:
    requires = variant.requires
    stated = [" or ".join(requires.cpu_any_of)] if requires.cpu_any_of else []
    if requires.provider != "CPUExecutionProvider":
        stated.append(requires.provider.removesuffix("ExecutionProvider"))
    return ", ".join(stated) or "any CPU"


def _answer(answer: Mapping[str, Any] | None) -> str:
    return f"{answer['label']} ({answer['probability']:.3f})" if answer else "-"


def _operators(counts: Counter[str]) -> list[tuple[str, int, str]]:
    """Fused ones first, then what is left unfused, then the rest, each by how often it occurs."""
    kinds = {True: "fused", False: "as exported"}
    known = [
        (name, count, "left unfused" if name in UNFUSED else kinds[name in FUSED])
        for name, count in counts.most_common()
    ]
    order = ["fused", "left unfused", "as exported"]
    return sorted(known, key=lambda row: order.index(row[2]))


def _fused_sentence(counts: Counter[str]) -> str:
    fused = sum(count for name, count in counts.items() if name in FUSED)
    left = {name: count for name, count in counts.items() if name in UNFUSED}
    if not fused:
        return "Nothing: none of ONNX Runtime's encoder patterns matches this architecture."
    sentence = f"{fused} of the graph's {sum(counts.values())} nodes are fused operators."
    if left:
        shown = ", ".join(f"{count} {name}" for name, count in left.items())
        sentence += f" Left as they were exported: {shown}."
    return sentence
