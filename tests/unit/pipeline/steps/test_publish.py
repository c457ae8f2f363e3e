"""publish: what a package says and holds."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

import onnxruntime as ort

from pipeline.recipe.limits import QuantizedGate
from pipeline.recipe.recipe import Int8, Recipe
from pipeline.steps.evaluate import evaluate
from pipeline.steps.publish import publish
from storage_init import sources
from storage_init.base.files import list_files
from storage_init.format import measurements
from storage_init.format.package import Packed, Requires
from storage_init.format.reading import read_package
from storage_init.format.tasks import TextClassification, TextEmbedding
from storage_init.format.verify import verify
from storage_init.running import host
from storage_init.store.layout import Store
from tests.support.models.models import DIMENSION, LABELS

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.workspace.workspace import Workspace

GRAPH_FILES = {"model.onnx", "model.onnx.data"}
COMMON_FILES = {
    "SHA256SUMS",
    "evidence.json",
    "measurements.json",
    "package.json",
    "report.html",
    "selftest.npz",
    "tokenizer.json",
}


def test_a_classifiers_package_describes_the_model_its_source_and_its_tools(
    prepared_classifier: Path, classifier: Path
) -> None:
    package, version = read_package(prepared_classifier)
    assert package.name == "classifier"
    assert version == prepared_classifier.name
    assert package.task == TextClassification(labels=LABELS, activation="softmax")
    assert package.limits.max_length == 64
    assert package.pad_token_id == 0
    assert {(t.name, t.datatype, tuple(t.shape)) for t in package.inputs} == {
        (name, "INT64", (-1, -1)) for name in ("input_ids", "attention_mask", "token_type_ids")
    }
    assert [(t.name, t.datatype, t.shape) for t in package.outputs] == [("logits", "FP32", [-1, 3])]
    assert package.source == sources.resolve(classifier.as_uri())
    assert package.source.license is None, "the model card states none"
    assert package.recipe_digest == Recipe().digest
    assert package.key == Recipe().key(package.source)
    for tool in ("onnxruntime", "torch", "transformers", "warmstart"):
        assert package.tools[tool] == metadata.version(tool)


def test_an_embedders_package_describes_its_vectors(prepared_embedder: Path) -> None:
    package, _ = read_package(prepared_embedder)
    assert package.task == TextEmbedding(dimension=DIMENSION, pooling="mean", normalize=True)
    assert package.limits.max_length == 48
    (output,) = package.outputs
    assert (output.name, output.datatype, output.shape) == ("embedding", "FP32", [-1, DIMENSION])
    for variant in package.variants:
        assert (variant.closeness.worst_cosine or 0) > 0.97
        assert variant.closeness.label_agreement is None


def test_a_package_has_portable_variants_and_int8_packed_for_this_cpu(
    prepared_classifier: Path,
) -> None:
    package, _ = read_package(prepared_classifier)
    int8, fp32 = package.variants
    assert (int8.name, fp32.name) == ("int8", "fp32")
    assert fp32.requires == int8.requires == Requires()
    assert fp32.packed is None
    here = Requires(cpu_exactly=host.kernel_features(), onnxruntime=ort.__version__)
    assert int8.packed == Packed(graph="int8/packed.onnx", requires=here)
    assert list_files(prepared_classifier) == COMMON_FILES | {
        "int8/packed.onnx",
        *(f"{variant}/{name}" for variant in ("fp32", "int8") for name in GRAPH_FILES),
    }


def test_a_variant_that_failed_its_gate_is_not_in_the_package(
    quantized: Workspace, tmp_path: Path
) -> None:
    strict = QuantizedGate(min_cosine=1, max_probability_difference=0, min_label_agreement=1)
    recipe = Recipe(int8=Int8(gate=strict))
    evaluate(quantized, recipe)
    folder = publish(quantized, recipe, Store(tmp_path), "m")
    package = verify(folder)
    assert [variant.name for variant in package.variants] == ["fp32"]
    assert list_files(folder) == COMMON_FILES | {f"fp32/{name}" for name in GRAPH_FILES}


def test_a_second_evaluation_publishes_the_same_version_with_its_own_measurements(
    quantized: Workspace, tmp_path: Path
) -> None:
    store, recipe = Store(tmp_path), Recipe(variants=("fp32",))
    found = []
    for _ in range(2):
        evaluate(quantized, recipe)
        folder = publish(quantized, recipe, store, "m", supersede=True)
        found.append(measurements.read(folder, *read_package(folder)))
    assert store.versions("m") == [folder.name]
    assert found[0].speed("fp32") is not None
    assert found[0] != found[1]
    verify(folder)
