"""The report: a self-contained HTML page, in the package and on KFP's page of the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jinja2

from storage_init.base.sizes import size
from storage_init.format.tasks import name_of

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from storage_init.format.measurements import Measurements
    from storage_init.format.package import Package, Variant

TEMPLATE = "report.html.jinja"
# Operators that ONNX Runtime's encoder fusions make, and operators that they should replace.
FUSED = {
    *("Attention", "FastGelu", "Gelu", "LayerNormalization", "MultiHeadAttention", "QuickGelu"),
    *("RotaryEmbedding", "SimplifiedLayerNormalization", "SkipSimplifiedLayerNormalization"),
}
UNFUSED = {"Erf", "Softmax", "Tanh"}


@dataclass(frozen=True)
class Findings:
    """The content of a page besides the package's description.

    ``sizes`` are bytes of each variant's files, ``rejected`` the reasons of unpublished variants,
    ``operators`` counts the nodes of the fp32 graph, ``measured`` is ``measurements.json``, and
    ``evidence`` is ``evidence.json``, if there is one.
    """

    sizes: Mapping[str, int]
    rejected: Mapping[str, str]
    operators: Counter[str]
    measured: Measurements
    evidence: Mapping[str, Any] | None = None


def render(package: Package, findings: Findings) -> str:
    """The page as HTML; every text and name that comes from elsewhere is escaped."""
    measured = findings.measured.variants
    speeds = {name: found.speed for name, found in measured.items()}
    memory = {name: found.memory for name, found in measured.items() if found.memory}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(TEMPLATE).render(
        package=package,
        findings=findings,
        task=name_of(package.task),
        labels=getattr(package.task, "labels", []),
        size=size,
        needs=_needs,
        size_rows=[_row(name, size(total), total) for name, total in findings.sizes.items()],
        speeds=speeds,
        speed_rows=[
            _row(each.name, f"{speeds[each.name].alone_ms:.2f}", speeds[each.name].alone_ms)
            for each in package.variants
        ],
        memory_rows=[
            _row(name, f"{size(it.private)} + {size(it.shared)}", it.private, it.shared)
            for name, it in memory.items()
        ],
        operators=_operators(findings.operators),
        fused_sentence=_fused_sentence(findings.operators),
        deployment=deployment(package.name),
    )


def deployment(name: str) -> str:
    """The manifest of an InferenceService for a model of the store, as in ``manifests/base``."""
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
      storageUri: pvc://model-store
      args:
        - --model_dir=/mnt/models/models/{name}/current
"""


def _kubernetes_name(name: str) -> str:
    """A model's name as Kubernetes accepts it: lower case letters, digits and dashes."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower()).strip("-")
    return kept[:63].rstrip("-") if kept[:1].isalpha() else f"model-{kept}"[:63].rstrip("-")


def _row(name: str, text: str, *parts: float) -> dict[str, Any]:
    """A row of a bar chart."""
    return {"name": name, "parts": parts, "total": sum(parts), "text": text}


def _needs(variant: Variant) -> str:
    requires = variant.requires
    stated = [" or ".join(requires.cpu_any_of)] if requires.cpu_any_of else []
    if requires.provider != "CPUExecutionProvider":
        stated.append(requires.provider.removesuffix("ExecutionProvider"))
    return ", ".join(stated) or "any CPU"


def _operators(counts: Counter[str]) -> list[tuple[str, int, str]]:
    """Operator, count and kind: fused, left unfused, the rest; each the most frequent first."""
    other = counts.keys() - FUSED - UNFUSED
    kinds = {"fused": FUSED, "left unfused": UNFUSED, "as exported": other}
    return [
        (name, count, kind)
        for kind, names in kinds.items()
        for name, count in counts.most_common()
        if name in names
    ]


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
