"""Lifts large weights out of a traced model, so that PyTorch's exporter never holds their values.

While it serialises a model, the exporter holds the weights three times beside the model itself: as
protobuf objects, as a string and as Python bytes. Lifted weights are inputs of the traced model and
are written from the model's memory to the file beside the graph; the operators are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from pipeline.graphs.editing import attributes, remove_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

# Smaller weights cost little memory, and the exporter folds some into constants.
MIN_BYTES = 64 << 10
# The size of one write, because a transposed weight is copied block by block.
BLOCK_BYTES = 16 << 20

Weights = dict[str, "NDArray[Any]"]


@dataclass(frozen=True)
class Lifted:
    """A model's large weights by name, and the module attributes that each belongs to."""

    weights: dict[str, torch.Tensor]
    places: dict[str, list[tuple[torch.nn.Module, str]]]

    @classmethod
    def out_of(cls, model: torch.nn.Module, min_bytes: int) -> Lifted:
        """Take the weights of at least ``min_bytes`` out of ``model``.

        The model then runs only through :meth:`taking`. A weight that modules share is taken once,
        under its first name.
        """
        large = {name: each for name, each in model.named_parameters() if each.nbytes >= min_bytes}
        names = {id(parameter): name for name, parameter in large.items()}
        places: dict[str, list[tuple[torch.nn.Module, str]]] = {name: [] for name in large}
        for module in model.modules():
            for attribute, parameter in list(module.named_parameters(recurse=False)):
                if name := names.get(id(parameter)):
                    places[name].append((module, attribute))
                    # PyTorch accepts only a parameter in the place of a parameter.
                    delattr(module, attribute)
        return cls({name: parameter.detach() for name, parameter in large.items()}, places)

    def taking(self, forward: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
        """``forward`` as a function of the inputs called ``names``, followed by the weights."""

        def run(*tensors: torch.Tensor) -> Any:
            for name, tensor in zip(self.weights, tensors[len(names) :], strict=True):
                for module, attribute in self.places[name]:
                    setattr(module, attribute, tensor)
            return forward(**dict(zip(names, tensors, strict=False)))

        return run

    def put_back(self, graph: Path) -> None:
        """Turn the inputs of an exported graph that are weights into initializers beside it.

        A weight that the graph transposes, as it does for PyTorch's products, is written
        transposed.
        """
        model = onnx.load(str(graph), load_external_data=False)
        weights = {name: weight.numpy() for name, weight in self.weights.items()}
        remove_inputs(model.graph, weights)
        weights |= _fold_transposes(model.graph, weights)
        used = {name for node in model.graph.node for name in node.input}
        location = f"{graph.name}.data"
        with graph.with_name(location).open("wb") as file:
            for name in (name for name in weights if name in used):
                tensor = onnx.TensorProto(
                    name=name,
                    dims=weights[name].shape,
                    data_type=onnx.helper.np_dtype_to_tensor_dtype(weights[name].dtype),
                    data_location=onnx.TensorProto.EXTERNAL,
                )
                place = {"offset": file.tell(), "length": weights[name].nbytes}
                for key, value in {"location": location, **place}.items():
                    tensor.external_data.add(key=key, value=str(value))
                model.graph.initializer.append(tensor)
                for block in _blocks(weights[name]):
                    file.write(block.data)
        graph.write_bytes(model.SerializeToString(deterministic=True))


def _fold_transposes(graph: onnx.GraphProto, weights: Weights) -> Weights:
    """Remove the nodes that transpose weights; returns transposed views by their new names."""
    found: Weights = {}
    names: dict[tuple[str, tuple[int, ...]], str] = {}
    renamed: dict[str, str] = {}
    for node in [node for node in graph.node if node.op_type == "Transpose"]:
        weight = weights.get(node.input[0])
        if weight is not None:
            order = tuple(attributes(node)["perm"])
            # Layers that share a weight also share its transpose.
            name = names.setdefault((node.input[0], order), node.output[0])
            found[name] = weight.transpose(order)
            renamed[node.output[0]] = name
            graph.node.remove(node)
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    return found


def _blocks(weight: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """A weight in blocks, each contiguous in memory."""
    rows = max(1, BLOCK_BYTES * len(weight) // weight.nbytes)
    for start in range(0, len(weight), rows):
        yield np.ascontiguousarray(weight[start : start + rows])
