"""Exports a PyTorch model as an ONNX graph, by PyTorch's tracer (TorchScript).

The model is traced with transformers' "eager" attention, whose products ONNX Runtime's fusions
know, and with its large weights lifted out: see :mod:`pipeline.export.lifting`.
"""

from __future__ import annotations

import gc
import inspect
import warnings
from typing import TYPE_CHECKING, Any

import onnx
import torch

from pipeline.export.lifting import MIN_BYTES, Lifted
from pipeline.export.tracing import traceable, watched_masks
from pipeline.graphs.optimization.attention_facts import AttentionFacts
from pipeline.workspace.workspace import GRAPH
from storage_init.running.tokenizer import TOKENIZER_INPUTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from transformers import PreTrainedModel

    from pipeline.original.heads import Head

# The example that is traced: two texts of so many tokens, the second one padded.
LENGTH = 16
PADDING = 3
BY_TEXT = {0: "batch_size"}
BY_TOKEN = BY_TEXT | {1: "sequence_length"}
TOKEN_TYPES = TOKENIZER_INPUTS[2]


def export(source: Path, target: Path, head: Head, inputs: Sequence[str], opset: int) -> None:
    """Write the graph, its weights beside it, and the facts about its attention into ``target``.

    Args:
        source: a Hugging Face folder.
        target: the folder to create.
        head: transformers' class of the model, and its outputs.
        inputs: what the model's tokenizer makes; those that the model does not take are left out.
        opset: the graph's ONNX opset.

    Raises:
        ValueError, KeyError, RuntimeError, OSError, ImportError: the model cannot be exported.
    """
    target.mkdir(parents=True, exist_ok=True)
    model = _load(source, head)
    accepted = inspect.signature(model.forward).parameters
    example = _example(model, [name for name in inputs if name in accepted])
    facts, shapes = _trace(model, target / GRAPH, example, head, opset)
    facts.save(target)
    del model
    # The model is part of a reference cycle, and ONNX Runtime is about to load the weights, too.
    gc.collect()
    _fix_sizes(target / GRAPH, shapes, 2 if head.per_token else 1)


def _load(source: Path, head: Head) -> PreTrainedModel:
    """Load a model in FP32, with the attention that the fusions know."""
    model: PreTrainedModel = head.load(source, dtype=torch.float32, attn_implementation="eager")
    return model.eval()


def _example(model: PreTrainedModel, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """Inputs INT64 [2, LENGTH] by name, in the order of ``TOKENIZER_INPUTS``."""
    chance = torch.Generator().manual_seed(0)
    known = model.get_input_embeddings().weight.shape[0]
    ids = torch.randint(min(known - 1, 5), known, (2, LENGTH), generator=chance)
    mask, types = torch.ones_like(ids), torch.zeros_like(ids)
    mask[1, -PADDING:] = 0
    made = dict(zip(TOKENIZER_INPUTS, (ids, mask, types), strict=True))
    return {name: tensor for name, tensor in made.items() if name in names}


def _trace(
    model: PreTrainedModel,
    graph: Path,
    example: dict[str, torch.Tensor],
    head: Head,
    opset: int,
) -> tuple[AttentionFacts, dict[str, tuple[int, ...]]]:
    """Write the graph; returns facts about its attention, and the example's shapes of outputs."""
    _set_token_types(model)
    forward, shapes = model.forward, {}

    def answer(**tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found: Any = forward(**tensors, return_dict=True)
        shapes.update({name: tuple(map(int, found[name].shape)) for name in head.outputs})
        return tuple(found[name] for name in head.outputs)

    lifted = Lifted.out_of(model, MIN_BYTES)
    model.forward = lifted.taking(answer, [*example])
    with watched_masks() as plain, traceable(), torch.no_grad(), warnings.catch_warnings():
        # Of the exporter about itself, and of the tracer about shapes that the gate checks.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (*example.values(), *lifted.weights.values()),
            str(graph),
            input_names=[*example, *lifted.weights],
            output_names=[*head.outputs],
            dynamic_axes=dict.fromkeys(example, BY_TOKEN)
            | dict.fromkeys(head.outputs, BY_TOKEN if head.per_token else BY_TEXT),
            opset_version=opset,
            dynamo=False,
        )
    lifted.put_back(graph)
    heads = getattr(model.config, "num_attention_heads", 0)
    width = getattr(model.config, "hidden_size", 0)
    known = isinstance(heads, int) and isinstance(width, int)
    facts = AttentionFacts(heads if known else 0, width if known else 0, plain_masks=all(plain))
    return facts, shapes


def _set_token_types(model: PreTrainedModel) -> None:
    """Give the encoder one row of zeros if it gets no token types and would expand zeros it keeps.

    The encoder, not the head above it: BigBird's for questions makes types of its own.
    """
    encoder = model.base_model
    forward, known = encoder.forward, inspect.signature(encoder.forward)
    kept = any(name.endswith(TOKEN_TYPES) for name, _ in encoder.named_buffers())
    if not kept or TOKEN_TYPES not in known.parameters:
        return

    def answer(*given: Any, **named: Any) -> Any:
        call = known.bind(*given, **named)
        if call.arguments.get(TOKEN_TYPES) is None:
            call.arguments[TOKEN_TYPES] = torch.zeros((1, 1), dtype=torch.int64)
        return forward(*call.args, **call.kwargs)

    encoder.forward = answer


def _fix_sizes(graph: Path, shapes: dict[str, tuple[int, ...]], varying: int) -> None:
    """State the sizes of outputs after the first ``varying`` ones, which depend on the texts."""
    model = onnx.load(str(graph), load_external_data=False)
    for output in model.graph.output:
        sizes = output.type.tensor_type.shape.dim
        for size, fixed in zip(sizes[varying:], shapes[output.name][varying:], strict=True):
            size.dim_value = fixed
    graph.write_bytes(model.SerializeToString(deterministic=True))
