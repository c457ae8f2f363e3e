"""Large weights as inputs of a traced model, so that PyTorch's exporter never holds their values.

The exporter has a model's weights three times while it serialises them: as protobuf's objects, as
a string and as Python's bytes, beside the model itself. Lifted out, they are written from the
model's own memory to the file beside the graph, and the operators are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from pipeline.graphs.editing import attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

# Smaller ones cost little, and the exporter folds shapes and the like out of them.
MIN_BYTES = 64 << 10
# Written at a time: a block of a transposed weight has to be copied.
BLOCK_BYTES = 16 << 20

Weights = dict[str, "NDArray[Any]"]


@dataclass(frozen=True)
class Lifted:
    """A model's large weights by name, and the modules' attributes that each is to be."""

    weights: dict[str, torch.Tensor]
    places: dict[str, list[tuple[torch.nn.Module, str]]]

    @classmethod
    def out_of(cls, model: torch.nn.Module, min_bytes: int) -> Lifted:
        """Take those of ``min_bytes`` and more out of ``model``, which runs by :meth:`taking` from
        then on.

        A weight that modules share is taken once, under its first name.
        """
        large = {name: each for name, each in model.named_parameters() if each.nbytes >= min_bytes}
        names = {id(parameter): name for name, parameter in large.items()}
        places: dict[str, list[tuple[torch.nn.Module, str]]] = {name: [] for name in large}
        for module in model.modules():
            for attribute, parameter in list(module.named_parameters(recurse=False)):
                if name := names.get(id(parameter)):
                    places[name].append((module, attribute))
                    # PyTorch lets only a parameter take a parameter's place.
                    delattr(module, attribute)
        return cls({name: parameter.detach() for name, parameter in large.items()}, places)

    def taking(self, forward: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
        """``forward`` as a function of the inputs called ``names`` and the weights after them."""

        def run(*tensors: torch.Tensor) -> Any:
            for name, tensor in zip(self.weights, tensors[len(names) :], strict=True):
                for module, attribute in self.places[name]:
                    setattr(module, attribute, tensor)
            return forward(**dict(zip(names, tensors, strict=False)))

        return run

    def put_back(self, graph: Path) -> None:
        """Make the inputs that are weights initializers of an exported graph, in a file beside it.

        A transposed weight is written as such: that is how products take those of PyTorch.
        """
        model = onnx.load(str(graph), load_external_data=False)
        weights = {name: weight.numpy() for name, weight in self.weights.items()}
        _take_inputs_away(model.graph, weights)
        weights |= _take_transposed(model.graph, weights)
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
                extent = {
                    "location": location,
                    "offset": file.tell(),
                    "length": weights[name].nbytes,
                }
                for key, value in extent.items():
                    tensor.external_data.add(key=key, value=str(value))
                model.graph.initializer.append(tensor)
                for block in _blocks(weights[name]):
                    file.write(block.data)
        graph.write_bytes(model.SerializeToString(deterministic=True))


def _take_inputs_away(graph: onnx.GraphProto, names: Weights) -> None:
    kept = [value for value in graph.input if value.name not in names]
    del graph.input[:]
    graph.input.extend(kept)


def _take_transposed(graph: onnx.GraphProto, weights: Weights) -> Weights:
    """Views of the weights that are transposed, by new names; those nodes are removed."""
    found: Weights = {}
    names: dict[tuple[str, tuple[int, ...]], str] = {}
    renamed: dict[str, str] = {}
    for node in [node for node in graph.node if node.op_type == "Transpose"]:
        weight = weights.get(node.input[0])
        if weight is not None:
            order = tuple(attributes(node)["perm"])
            # Layers that share a weight share its transpose, too.
            name = names.setdefault((node.input[0], order), node.output[0])
            found[name] = weight.transpose(order)
            renamed[node.output[0]] = name
            graph.node.remove(node)
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    return found


def _blocks(weight: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """A weight in pieces, each in one piece of memory."""
    rows = max(1, BLOCK_BYTES * len(weight) // weight.nbytes)
    for start in range(0, len(weight), rows):
        yield np.ascontiguousarray(weight[start : start + rows])
