"""The report is self-contained, escapes texts from elsewhere, and shows what was found."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import yaml

from pipeline.report.footprint import measure
from pipeline.report.report import Findings, deployment, render
from pipeline.workspace.evidence import (
    Answer,
    EvalDataFacts,
    Evidence,
    LabelScores,
    LayerSearch,
    Limit,
    OnEvaluationData,
    VariantEvidence,
    WorstExample,
)
from storage_init.format.measurements import (
    Measurements,
    Memory,
    Speed,
    StepMeasurements,
    VariantMeasurements,
)
from storage_init.format.package import BatchSensitivity, Referee
from storage_init.format.reading import read_package
from storage_init.format.tasks import TextRanking
from storage_init.format.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.format.package import Package

HOSTILE = "<script>alert(1)</script>"
# A page that loads anything from elsewhere has one of these.
OUTSIDE = re.compile(r"""(?:src|href)=|url\(|@import|https?://""")

STILL = BatchSensitivity(largest_move=0.001, flipped_labels=0.0125)
INT8 = VariantEvidence(
    "int8",
    accepted=False,
    limits=[Limit("selftest", "min_label_agreement", 0.85, 0.5, passed=False)],
    on_evaluation_data=OnEvaluationData(
        texts=2000,
        batch_sensitivity=STILL,
        label_agreement=0.9875,
        differing=25,
        flipped=3,
        scores=LabelScores(0.9085, 0.897, [[1]]),
    ),
    search=LayerSearch([], [], ["layer_3"]),
    worst=[
        WorstExample(
            f"Not good {HOSTILE}",
            0.31,
            label="negative",
            original=Answer("negative", 0.52),
            variant=Answer("neutral", 0.49),
        )
    ],
)
EVIDENCE = Evidence(
    task="text-classification",
    selftest_texts=8,
    eval_data=EvalDataFacts("a" * 64, 2000, labelled=True),
    original=LabelScores(0.912, 0.9, [[1]]),
    variants=[INT8],
)


MEASURED = Measurements(
    cpu="a CPU",
    variants={
        "fp32": VariantMeasurements(Speed(2.0, 1.0, 16), memory=Memory(40_000_000, 260_000_000)),
        "int8": VariantMeasurements(Speed(1.0, 0.5, 16)),
    },
    steps=[StepMeasurements("export", 12.3, 1_600_000_000, "opset 18")],
)


@pytest.fixture
def package(prepared_classifier: Path) -> Package:
    return read_package(prepared_classifier)[0]


def findings(evidence: Evidence | None = None, **changes: Any) -> Findings:
    known: dict[str, Any] = {
        "sizes": {"fp32": 268_000_000, "int8": 109_000_000},
        "rejected": {},
        "operators": Counter({"Attention": 6, "MatMul": 24, "Softmax": 2}),
        "measured": MEASURED,
        "evidence": None if evidence is None else msgspec.to_builtins(evidence),
    }
    return Findings(**(known | changes))


def test_a_published_package_verifies_with_its_page(prepared_classifier: Path) -> None:
    package = verify(prepared_classifier)
    page = (prepared_classifier / "report.html").read_text(encoding="utf-8")
    # Size, speed and, as this is Linux, memory.
    assert page.count("<svg") == 3
    assert package.source.revision in page
    for tool, version in package.tools.items():
        assert f"<dt>{tool}</dt><dd>{version}</dd>" in page
    for step in ("snapshot", "export", "optimize", "quantize", "evaluate"):
        assert f"<th>{step}</th>" in page
    assert "prefers-color-scheme: dark" in page


def test_texts_from_elsewhere_are_escaped(package: Package) -> None:
    source = msgspec.structs.replace(package.source, uri=f"file:///{HOSTILE}", license=HOSTILE)
    task = msgspec.structs.replace(package.task, labels=[HOSTILE, "b", "c"])
    hostile = msgspec.structs.replace(package, source=source, task=task)
    page = render(
        hostile,
        findings(
            EVIDENCE,
            rejected={"bf16": HOSTILE},
            measured=msgspec.structs.replace(
                MEASURED, steps=[StepMeasurements("export", 1.0, 1, HOSTILE)]
            ),
            operators=Counter({HOSTILE: 1}),
        ),
    )
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 7


def test_the_page_shows_the_evidence_and_loads_nothing_from_elsewhere(package: Package) -> None:
    page = render(package, findings(EVIDENCE))
    assert OUTSIDE.findall(page) == []
    for shown in (
        "On 2000 texts of evaluation data",
        "98.75 %",
        "91.20 %",
        "Where int8 is farthest from the original",
        "negative (0.520)",
        "neutral (0.490)",
        "layer_3",
        '<span class="bad">missed</span>',
    ):
        assert shown in page


def test_the_page_names_rejected_variants_and_unfused_operators(package: Package) -> None:
    page = render(package, findings(rejected={"int8": "worst cosine 0.9 is below 0.97"}))
    assert "worst cosine 0.9 is below 0.97" in page
    assert "6 of the graph&#39;s 32 nodes are fused" in page
    assert "Left as they were exported: 2 Softmax." in page
    bare = render(package, findings(operators=Counter({"MatMul": 3})))
    assert "Nothing: none of ONNX Runtime&#39;s encoder patterns matches" in bare


def test_the_page_says_what_a_referee_does_and_whether_it_is_published(package: Package) -> None:
    figures = Referee(
        margin=0.25,
        share=0.0425,
        texts=1000,
        differing=1,
        differing_without=12,
        bound=0.0047,
        confidence=0.95,
    )
    int8 = msgspec.structs.replace(INT8, referee=figures)
    evidence = msgspec.structs.replace(EVIDENCE, variants=[int8])
    page = render(package, findings(evidence))
    for shown in ("int8 with fp32 as its referee", "0.25 logits", "4.25 %", "0.47 %"):
        assert shown in page
    assert "Not published: fp32 would answer too many texts" in page
    variants = [
        msgspec.structs.replace(each, referee=figures) if each.name == "int8" else each
        for each in package.variants
    ]
    published = msgspec.structs.replace(package, variants=variants)
    assert "Not published: fp32" not in render(published, findings(evidence))


def test_a_rankers_page_shows_its_order(package: Package) -> None:
    package = msgspec.structs.replace(package, task=TextRanking(activation="sigmoid"))
    ranked = OnEvaluationData(
        texts=40,
        batch_sensitivity=STILL,
        rank_correlation=0.9973,
        mean_probability_difference=0.0042,
        worst_probability_difference=0.031,
    )
    worst = [WorstExample("query", 0.03, "document")]
    variant = VariantEvidence("int8", accepted=True, on_evaluation_data=ranked, worst=worst)
    evidence = msgspec.structs.replace(EVIDENCE, original=None, variants=[variant])
    page = render(package, findings(evidence))
    for shown in ("same order", "0.9973", "0.031", "0.0042", "1.25 %", "query<br>document"):
        assert shown in page
    for absent in ("None", "same answer", "other answers", "<th>original</th>"):
        assert absent not in page


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sentiment", "sentiment"),
        ("My_Model.v2", "my-model-v2"),
        ("2024-model", "model-2024-model"),
    ],
)
def test_the_manifest_has_a_name_that_kubernetes_accepts(name: str, expected: str) -> None:
    service = yaml.safe_load(deployment(name))
    assert service["metadata"]["name"] == expected
    model = service["spec"]["predictor"]["model"]
    assert model["storageUri"] == "pvc://model-store"
    assert model["args"] == [f"--model_dir=/mnt/models/models/{name}/current"]


def test_a_graph_that_cannot_be_run_has_no_footprint(
    prepared_classifier: Path, package: Package, tmp_path: Path
) -> None:
    feeds = {tensor.name: np.ones((2, 5), dtype=np.int64) for tensor in package.inputs}
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    assert measure(tmp_path / "model.onnx", feeds) is None
    found = measure(prepared_classifier / package.variants[-1].graph, feeds)
    assert found is not None
    assert found.private > 0
