"""Changing a graph: weights by name, new nodes under names of their own, what is unused dropped."""

from __future__ import annotations

from itertools import chain, count
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

PREFIX = "warmstart_"


class GraphEditor:
    """Edits a model in place; call ``finish`` when done, until then nodes are in no order."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.opset = next(entry.version for entry in model.opset_import if entry.domain == "")
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        # A graph may have been edited before.
        self._names = {node.name for node in model.graph.node}

    def nodes(self, *operators: str) -> Iterator[onnx.NodeProto]:
        """The nodes of these operators as they are now."""
        yield from [node for node in self.model.graph.node if node.op_type in operators]

    def weight(self, name: str, rank: int | None = None) -> NDArray[Any] | None:
        """An FP32 initializer's values, None if ``name`` is none or has another rank."""
        tensor = self._weights.get(name)
        if tensor is None or tensor.data_type != onnx.TensorProto.FLOAT:
            return None
        if rank is not None and len(tensor.dims) != rank:
            return None
        values: NDArray[Any] = onnx.numpy_helper.to_array(tensor)
        return values

    def integers(self, name: str) -> list[int] | None:
        """A constant's whole numbers, None if ``name`` is no INT64 constant."""
        tensor = self._weights.get(name)
        for node in self.nodes("Constant"):
            if node.output[0] == name:
                tensor = attributes(node).get("value")
        if tensor is None or tensor.data_type != onnx.TensorProto.INT64:
            return None
        return [int(number) for number in onnx.numpy_helper.to_array(tensor).flat]

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add an initializer; one of this name stands for all that are asked for."""
        name = f"{PREFIX}{name}"
        if name not in self._weights:
            self._weights[name] = onnx.numpy_helper.from_array(values, name)
        return name

    def node(
        self,
        operator: str,
        inputs: Sequence[str],
        output: str | None = None,
        *,
        name: str | None = None,
        domain: str = "",
        **attributes: object,
    ) -> str:
        """Add a node, under ``name`` if no other has it; returns its output's name."""
        names = chain([name] if name else [], (f"{PREFIX}{operator}_{n}" for n in count(1)))
        name = next(free for free in names if free not in self._names)
        self._names.add(name)
        output = output or f"{name}_output"
        self.model.graph.node.append(
            onnx.helper.make_node(operator, inputs, [output], name, domain=domain, **attributes)
        )
        return output

    def reduce_max(self, tensor: str) -> str:
        """The largest value along the last axis, which is kept with length 1."""
        if self.opset < 18:  # from here on axes are an input
            return self.node("ReduceMax", [tensor], axes=[-1], keepdims=1)
        axis = self.constant("last_axis", np.array([-1], dtype=np.int64))
        return self.node("ReduceMax", [tensor, axis], keepdims=1)

    def remove(self, node: onnx.NodeProto) -> None:
        self.model.graph.node.remove(node)

    def readers(self, tensor: str) -> list[onnx.NodeProto]:
        """The nodes that take a tensor."""
        return [node for node in self.model.graph.node if tensor in node.input]

    def redirect(self, tensor: str, replacement: str) -> None:
        """Let every node that takes ``tensor`` take ``replacement``."""
        for node in self.readers(tensor):
            node.input[:] = [replacement if name == tensor else name for name in node.input]

    def finish(self) -> None:
        """Drop nodes and weights that no output needs, and put nodes in order."""
        from onnxruntime.transformers.onnx_model import OnnxModel

        OnnxModel(self.model).prune_graph(allow_remove_graph_inputs=False)
        graph = self.model.graph
        used = {name for node in graph.node for name in node.input}
        del graph.initializer[:]
        graph.initializer.extend(t for name, t in self._weights.items() if name in used)
        OnnxModel(self.model).topological_sort()


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes as Python values."""
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def optional(node: onnx.NodeProto, index: int) -> str:
    """The name of an input that a node may lack, "" if it does."""
    return str(node.input[index]) if index < len(node.input) else ""
