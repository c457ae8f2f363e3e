"""publish: gather what passed into a package and make it a version of the store."""

from __future__ import annotations

import shutil
from importlib import metadata
from typing import TYPE_CHECKING, Literal

import msgspec

from pipeline.steps.evaluate import Evaluation
from storage_init.package import (
    SELFTEST_FILE,
    TOKENIZER_FILE,
    FileEntry,
    Package,
    Tensor,
)
from storage_init.providers import OPENVINO
from storage_init.publish import publish as publish_to
from storage_init.runtime import open_session

if TYPE_CHECKING:
    from pathlib import Path

    import onnxruntime as ort

    from pipeline.recipe import Recipe
    from pipeline.workspace import Workspace
    from storage_init.store import Store

TOOLS = ("warmstart", "onnx", "onnxruntime", "tokenizers")
TORCH_TOOLS = ("optimum-onnx", "torch", "transformers")
OPENVINO_TOOL = "onnxruntime-ep-openvino"
DATATYPES: dict[str, Literal["INT64", "INT32", "FP32", "FP16"]] = {
    "tensor(int64)": "INT64",
    "tensor(int32)": "INT32",
    "tensor(float)": "FP32",
    "tensor(float16)": "FP16",
}


def publish(workspace: Workspace, recipe: Recipe, store: Store, name: str) -> Path:
    """Publish the accepted variants; returns the version's folder.

    Raises:
        StoreError: the store cannot be written; it is left as it was.
    """
    evaluation = msgspec.json.decode(workspace.evaluation.read_bytes(), type=Evaluation)
    source = workspace.read_source()
    facts = workspace.facts(recipe)
    tools = TOOLS if workspace.ready_graph else (*TOOLS, *TORCH_TOOLS)
    if any(variant.requires.provider == OPENVINO for variant in evaluation.accepted):
        tools = (*tools, OPENVINO_TOOL)
    session = open_session(workspace.graph(evaluation.accepted[0].name))

    def describe(files: list[FileEntry]) -> Package:
        return Package(
            name=name,
            key=recipe.key(source),
            task=facts.task,
            source=source,
            recipe_digest=recipe.digest,
            tools={tool: metadata.version(tool) for tool in tools},
            limits=facts.limits,
            pad_token_id=facts.pad_token_id,
            inputs=[_tensor(node) for node in session.get_inputs()],
            outputs=[_tensor(node) for node in session.get_outputs()],
            variants=evaluation.accepted,
            files=files,
        )

    with store.staging() as staged:
        shutil.copyfile(workspace.exported / TOKENIZER_FILE, staged / TOKENIZER_FILE)
        shutil.copyfile(workspace.selftest, staged / SELFTEST_FILE)
        for folder in {workspace.graph(variant.name).parent for variant in evaluation.accepted}:
            shutil.copytree(folder, staged / folder.name)
        return publish_to(store, staged, describe)


def _tensor(node: ort.NodeArg) -> Tensor:
    """A graph's input or output; named dimensions vary."""
    shape = [size if isinstance(size, int) else -1 for size in node.shape]
    return Tensor(name=node.name, datatype=DATATYPES[node.type], shape=shape)
