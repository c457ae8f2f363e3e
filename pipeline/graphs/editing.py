"""Edits a graph: reads weights by name, adds nodes under new names, drops what is unused."""

from __future__ import annotations

from itertools import chain, count
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

PREFIX = "warmstart_"
# Up to opset 24 (ONNX, "Operator Changelog"): a DFT's axis and a group's scales are other inputs.
_CHANGED_AFTER_18 = ("DFT", "GroupNormalization")


class GraphEditor:
    """Edits a model in place; call ``finish`` at the end, because new nodes are not in order."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.opset = next(entry.version for entry in model.opset_import if entry.domain == "")
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        # A graph may have been edited before.
        self._names = {node.name for node in model.graph.node}

    def nodes(self, *operators: str) -> Iterator[onnx.NodeProto]:
        """A snapshot of the nodes with these operators."""
        yield from [node for node in self.model.graph.node if node.op_type in operators]

    def weight(self, name: str, rank: int | None = None) -> NDArray[Any] | None:
        """The values of an FP32 initializer, None if there is none of this name and rank."""
        tensor = self._weights.get(name)
        if tensor is None or tensor.data_type != onnx.TensorProto.FLOAT:
            return None
        if rank is not None and len(tensor.dims) != rank:
            return None
        values: NDArray[Any] = onnx.numpy_helper.to_array(tensor)
        return values

    def integers(self, name: str) -> list[int] | None:
        """The numbers of an INT64 constant, None if ``name`` is not one."""
        tensor = self._weights.get(name)
        for node in self.nodes("Constant"):
            if node.output[0] == name:
                tensor = attributes(node).get("value")
        if tensor is None or tensor.data_type != onnx.TensorProto.INT64:
            return None
        return [int(number) for number in onnx.numpy_helper.to_array(tensor).flat]

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add an initializer unless one of this name exists; returns its full name."""
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
        """Add a node, called ``name`` if that is free; returns its output's name."""
        names = chain([name] if name else [], (f"{PREFIX}{operator}_{n}" for n in count(1)))
        name = next(free for free in names if free not in self._names)
        self._names.add(name)
        output = output or f"{name}_output"
        self.model.graph.node.append(
            onnx.helper.make_node(operator, inputs, [output], name, domain=domain, **attributes)
        )
        return output

    def raise_opset(self, version: int) -> None:
        """Declare a later opset, if that changes the meaning of no operator in the graph."""
        if not 18 <= self.opset < version or list(self.nodes(*_CHANGED_AFTER_18)):
            return
        imports = self.model.opset_import
        next(entry for entry in imports if not entry.domain).version = self.opset = version
        oldest = onnx.helper.find_min_ir_version_for(imports, ignore_unknown=True)
        self.model.ir_version = max(self.model.ir_version, oldest)

    def reduce(self, operator: str, tensor: str) -> str:
        """Reduce the last axis, which stays with length 1; returns the result's name."""
        if self.opset < 18:  # from here on axes are an input
            return self.node(operator, [tensor], axes=[-1], keepdims=1)
        axis = self.constant("last_axis", np.array([-1], dtype=np.int64))
        return self.node(operator, [tensor, axis], keepdims=1)

    def remove(self, node: onnx.NodeProto) -> None:
        """Remove a node."""
        self.model.graph.node.remove(node)

    def readers(self, tensor: str) -> list[onnx.NodeProto]:
        """The nodes that read a tensor."""
        return [node for node in self.model.graph.node if tensor in node.input]

    def redirect(self, tensor: str, replacement: str) -> None:
        """Make every reader of ``tensor`` read ``replacement``."""
        for node in self.readers(tensor):
            node.input[:] = [replacement if name == tensor else name for name in node.input]

    def finish(self) -> None:
        """Drop nodes and weights that no output needs, and sort the nodes."""
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
    """The name of a node's optional input, "" if the node does not have it."""
    return str(node.input[index]) if index < len(node.input) else ""


def remove_inputs(graph: onnx.GraphProto, names: Collection[str]) -> None:
    """Drop the graph inputs with these names."""
    kept = [value for value in graph.input if value.name not in names]
    del graph.input[:]
    graph.input.extend(kept)
