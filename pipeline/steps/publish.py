"""publish: make a package of the accepted variants, and a version of it in the store."""

from __future__ import annotations

import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Literal

import msgspec
import onnx

from pipeline.evaluation.examples import selftest_examples
from pipeline.report.footprint import measure
from pipeline.report.report import Findings, render
from pipeline.workspace import records
from pipeline.workspace.evidence import Evaluation
from storage_init.base.places import address_of
from storage_init.format import codec, measurements
from storage_init.format.measurements import Memory, StepMeasurements
from storage_init.format.package import (
    EVIDENCE_FILE,
    MEASUREMENTS_FILE,
    REPORT_FILE,
    SELFTEST_FILE,
    TOKENIZER_FILE,
    FileEntry,
    Package,
    Tensor,
)
from storage_init.running.providers import OPENVINO
from storage_init.running.session import open_session
from storage_init.store.publish import publish as publish_to

if TYPE_CHECKING:
    from pathlib import Path

    import onnxruntime as ort

    from pipeline.recipe.recipe import Recipe
    from pipeline.workspace.workspace import Workspace
    from storage_init.format.measurements import Measurements
    from storage_init.format.package import Variant
    from storage_init.store.layout import Store

CPU = "CPUExecutionProvider"
TOOLS = ("warmstart", "onnx", "onnxruntime", "tokenizers")
# Those that made the baseline and the export.
TORCH_TOOLS = ("sentence-transformers", "torch", "transformers")
# Which variant to try first on a host where none was measured: the one with the smallest weights.
PREFERENCE = ("int8", "bf16-openvino", "fp32")
OPENVINO_TOOL = "onnxruntime-ep-openvino"
DATATYPES: dict[str, Literal["INT64", "INT32", "FP32", "FP16"]] = {
    "tensor(int64)": "INT64",
    "tensor(int32)": "INT32",
    "tensor(float)": "FP32",
    "tensor(float16)": "FP16",
}


def publish(
    workspace: Workspace, recipe: Recipe, store: Store, name: str, *, supersede: bool = False
) -> Path:
    """Publish the accepted variants; returns the version's folder.

    ``supersede``: as in :func:`storage_init.store.publish.publish`.

    Raises:
        StoreError: the store cannot be written; it is left as it was.
    """
    evaluation = msgspec.json.decode(workspace.evaluation.read_bytes(), type=Evaluation)
    source = workspace.read_source()
    facts = workspace.facts(recipe)
    tools = [*TOOLS, *(() if workspace.onnx_source else TORCH_TOOLS)]
    if any(variant.requires.provider == OPENVINO for variant in evaluation.accepted):
        tools.append(OPENVINO_TOOL)
    session = open_session(workspace.graph(evaluation.accepted[0].name))

    def describe(files: list[FileEntry]) -> Package:
        package = Package(
            name=name,
            key=recipe.key(source),
            task=facts.task,
            source=msgspec.structs.replace(source, uri=address_of(source.uri)),
            recipe_digest=recipe.digest,
            tools={tool: metadata.version(tool) for tool in tools},
            limits=facts.limits,
            pad_token_id=facts.pad_token_id,
            inputs=[_tensor(node) for node in session.get_inputs()],
            outputs=[_tensor(node) for node in session.get_outputs()],
            variants=sorted(evaluation.accepted, key=lambda each: PREFERENCE.index(each.name)),
            files=files,
        )
        measured = _measurements(workspace, recipe, package, evaluation)
        (staged / MEASUREMENTS_FILE).write_bytes(measurements.encode(measured))
        page = render(package, _findings(workspace, package, evaluation, measured))
        (staged / REPORT_FILE).write_text(page, encoding="utf-8")
        return package

    with store.staging() as staged:
        shutil.copyfile(workspace.exported / TOKENIZER_FILE, staged / TOKENIZER_FILE)
        shutil.copyfile(workspace.selftest, staged / SELFTEST_FILE)
        shutil.copyfile(workspace.evidence, staged / EVIDENCE_FILE)
        for folder in {workspace.graph(variant.name).parent for variant in evaluation.accepted}:
            shutil.copytree(folder, staged / folder.name)
        return publish_to(store, staged, describe, supersede=supersede)


def _findings(
    workspace: Workspace, package: Package, evaluation: Evaluation, measured: Measurements
) -> Findings:
    """Collect the content of the report besides the package's description."""
    graph = onnx.load(str(workspace.graph("fp32")), load_external_data=False).graph
    return Findings(
        sizes={
            variant.name: sum(file.size for file in package.files if variant.owns(file.path))
            for variant in package.variants
        },
        rejected=evaluation.rejected,
        operators=Counter(node.op_type for node in graph.node),
        measured=measured,
        evidence=msgspec.json.decode(workspace.evidence.read_bytes()),
    )


def _measurements(
    workspace: Workspace, recipe: Recipe, package: Package, evaluation: Evaluation
) -> Measurements:
    """Add memory, steps and time to the speeds that the evaluation took."""
    steps = (records.read(workspace.root, step, recipe) for step in records.STEPS)
    memory = _memory(workspace, recipe, package)
    return msgspec.structs.replace(
        evaluation.measured,
        package=codec.digest(codec.encode(package)),
        prepared=datetime.now(UTC).isoformat(timespec="seconds"),
        variants={
            name: msgspec.structs.replace(taken, memory=memory.get(name))
            for name, taken in evaluation.measured.variants.items()
        },
        steps=[
            StepMeasurements(done.step, done.seconds, done.peak_bytes, done.detail)
            for done in steps
            if done
        ],
    )


def _memory(workspace: Workspace, recipe: Recipe, package: Package) -> dict[str, Memory]:
    """Measure the variants of the CPU provider, in the form that this host would load."""
    tokenizer = workspace.open_tokenizer(workspace.facts(recipe))
    encodings = tokenizer.encode_batch(selftest_examples(package.task, recipe.selftest_texts))
    feeds = tokenizer.feeds(encodings, [tensor.name for tensor in package.inputs])

    def graph(variant: Variant) -> Path:
        packed = workspace.packed_graph(variant.name)
        return packed if packed.exists() else workspace.graph(variant.name)

    runnable = [variant for variant in package.variants if variant.requires.provider == CPU]
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda variant: measure(graph(variant), feeds), runnable)
        pairs = zip(runnable, found, strict=True)
        return {variant.name: memory for variant, memory in pairs if memory}


def _tensor(node: ort.NodeArg) -> Tensor:
    """Describe a graph's input or output; a named dimension varies and becomes -1."""
    shape = [size if isinstance(size, int) else -1 for size in node.shape]
    return Tensor(name=node.name, datatype=DATATYPES[node.type], shape=shape)
