"""Computes the last layer for the first token only, where the answer reads no other token.

Classifiers and "cls" embedders read one state of L, but exports compute the last layer for all. The
rewrite computes its queries, its output projection and its feed-forward part, five sixths of the
layer, for the token that is read. The result is exact: nothing else was ever read.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
import onnx

from pipeline.graphs.attention import is_encoder_attention, open_attention
from pipeline.graphs.editing import attributes

if TYPE_CHECKING:
    from pipeline.graphs.editing import GraphEditor

# Operators that work on each token separately, and how many of their first inputs may be states.
_BY_TOKEN = {"MatMul": 1, "Gelu": 1, "FastGelu": 1, "LayerNormalization": 1, "Add": 2}


def compute_first_token_only(editor: GraphEditor) -> bool:
    """Rewrite the last layer; False if more of it is read or it has unknown operators."""
    for node in editor.nodes("Gather"):
        by_token = attributes(node).get("axis", 0) == 1
        if by_token and editor.integers(node.input[1]) == [0]:
            layer = _LastLayer(editor, node)
            if layer.is_read_by_nothing_else():
                node.input[0] = layer.first(node.input[0])
                return True
    return False


class _LastLayer:
    """The nodes from an attention to ``reader``, which reads one token of their result."""

    def __init__(self, editor: GraphEditor, reader: onnx.NodeProto) -> None:
        self._editor = editor
        self._reader = reader
        self._producers = {name: n for n in editor.model.graph.node for name in n.output if name}
        self._attention = self._nearest_attention()
        self._nodes: list[onnx.NodeProto] = []
        self._firsts: dict[str, str] = {}
        if self._attention is not None:
            self._collect(self._attention)

    def _nearest_attention(self) -> onnx.NodeProto | None:
        """The last layer's attention; through a skip connection the one before is farther away."""
        waiting, seen = deque([self._reader.input[0]]), set[str]()
        while waiting:
            # A layer has two ways to the one before it: without a memory, steps would double.
            name = waiting.popleft()
            node = self._producers.get(name)
            if node is None or name in seen:
                continue
            seen.add(name)
            if node.op_type == "Attention" and is_encoder_attention(self._editor, node):
                return node
            if self._is_by_token(node):
                waiting.extend(self._states(node))
        return None

    def _collect(self, attention: onnx.NodeProto) -> None:
        """Collect the attention, and the nodes after it that work on each token separately."""
        waiting = [attention]
        while waiting:
            node = waiting.pop()
            if node in self._nodes:
                continue
            self._nodes.append(node)
            states = node.output[0]
            waiting += [
                reader
                for reader in self._editor.readers(states)
                if self._is_by_token(reader) and states in self._states(reader)
            ]

    def _states(self, node: onnx.NodeProto) -> list[str]:
        """The inputs that are states and not a bias."""
        inputs = node.input[: _BY_TOKEN.get(node.op_type, 0)]
        return [name for name in inputs if self._editor.weight(name, rank=1) is None]

    def _is_by_token(self, node: onnx.NodeProto) -> bool:
        if node.op_type == "MatMul" and self._editor.weight(node.input[1], rank=2) is None:
            return False
        return node.op_type in _BY_TOKEN and not any(node.output[1:])

    def is_read_by_nothing_else(self) -> bool:
        """Whether only the reader uses the layer's result."""
        inside = [*self._nodes, self._reader]
        outputs = {output.name for output in self._editor.model.graph.output}
        return self._attention is not None and all(
            node.output[0] not in outputs
            and all(reader in inside for reader in self._editor.readers(node.output[0]))
            for node in self._nodes
        )

    def first(self, states: str) -> str:
        """The name of the first token's states [N, 1, H] among ``states`` [N, L, H]."""
        if states not in self._firsts:
            self._firsts[states] = self._make_first(states)
        return self._firsts[states]

    def _make_first(self, states: str) -> str:
        editor, node = self._editor, self._producers.get(states)
        if node is None or node not in self._nodes:
            index = editor.constant("first_token", np.array([0], dtype=np.int64))
            return editor.node("Gather", [states, index], axis=1)
        if node.op_type == "Attention":
            return open_attention(editor, node, query_states=self.first(node.input[0]))
        firsts = {name: self.first(name) for name in self._states(node)}
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name, copy.output[0] = f"{node.name}_first", f"{states}_first"
        copy.input[:] = [firsts.get(name, name) for name in node.input]
        editor.model.graph.node.append(copy)
        return str(copy.output[0])
