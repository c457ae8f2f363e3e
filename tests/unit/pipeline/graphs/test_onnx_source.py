"""ONNX sources: which graphs are refused, and the form that the next steps get."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from pipeline.graphs.files import GraphError
from pipeline.graphs.onnx_source import import_onnx
from storage_init.format.tasks import QuestionAnswering, TextClassification, TextEmbedding
from storage_init.running.session import open_session, run_answer
from tests.unit.pipeline.encoders import GRAPH, encoder, table, write

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.format.tasks import Task

VECTORS = TextEmbedding(dimension=3, pooling="mean", normalize=False)
CLASSES = TextClassification(labels=["a", "b", "c"], activation="softmax")
IDS = np.array([[1, 2, 5]])
FEEDS = {"input_ids": IDS, "attention_mask": np.ones_like(IDS)}


def imported(model: onnx.ModelProto, folder: Path, *, stated: bool = True) -> Path:
    target = folder / "imported" / "model.onnx"
    assert import_onnx(write(folder, model), target, VECTORS, pooling_is_stated=stated) == 14
    return target


@pytest.mark.parametrize(
    ("stated", "name", "shape"),
    [(True, "last_hidden_state", (1, 3, 3)), (False, "embedding", (1, 3))],
)
def test_the_answer_is_the_only_output_and_an_unused_mask_stays_an_input(
    tmp_path: Path, stated: bool, name: str, shape: tuple[int, ...]
) -> None:
    session = open_session(imported(encoder(), tmp_path, stated=stated))
    assert [tensor.name for tensor in session.get_inputs()] == ["input_ids", "attention_mask"]
    assert [output.name for output in session.get_outputs()] == [name]
    (answer,) = session.run(None, FEEDS)
    want = table()[IDS] if stated else table()[IDS][:, 0]
    assert answer.shape == shape
    np.testing.assert_array_equal(answer, want)


def test_weights_that_are_listed_as_inputs_are_no_inputs_afterwards(tmp_path: Path) -> None:
    # Exporters listed them before IR version 4.
    model = encoder()
    model.ir_version = 3
    model.graph.input.append(
        onnx.helper.make_tensor_value_info("table", onnx.TensorProto.FLOAT, table().shape)
    )
    loaded = onnx.load(str(imported(model, tmp_path)), load_external_data=False)
    assert [value.name for value in loaded.graph.input] == ["input_ids", "attention_mask"]


QUANTISED = GRAPH.rstrip().removesuffix("}") + (
    "scaled, scale, zero = DynamicQuantizeLinear (token_embeddings)\n}"
)
REFUSED = {
    "quantised": (encoder(QUANTISED), r"quantised already \(DynamicQuantizeLinear\)"),
    "16 bits": (
        encoder(GRAPH.replace("float[", "float16["), table(np.float16)),
        "weight table has 16 bits",
    ),
    "an old opset": (encoder(GRAPH.replace(": 14", ": 9")), "opset 9 is older than 11"),
    "positions": (
        encoder(GRAPH.replace("attention_mask)", "attention_mask, int64[N, L] places)")),
        "takes input_ids, attention_mask, places; needed are",
    ),
    "no mask": (
        encoder(GRAPH.replace(", int64[N, L] attention_mask", "")),
        "takes input_ids; needed are input_ids and attention_mask",
    ),
    "32-bit tokens": (
        encoder(GRAPH.replace("int64[N, L] input_ids", "int32[N, L] input_ids")),
        r"input input_ids is not INT64 \[N, L\]",
    ),
    "one length": (
        encoder(GRAPH.replace("int64[N, L] attention", "int64[N, 128] attention")),
        "input attention_mask is not INT64",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_graph_that_cannot_be_served_is_refused_with_its_path(tmp_path: Path, case: str) -> None:
    model, reason = REFUSED[case]
    with pytest.raises(GraphError, match=reason) as refused:
        imported(model, tmp_path)
    assert str(tmp_path / "model.onnx") in str(refused.value)


def refusal(graph: Path, task: Task = VECTORS) -> str:
    with pytest.raises(GraphError) as refused:
        import_onnx(graph, graph.parent / "imported.onnx", task, pooling_is_stated=False)
    return str(refused.value)


def test_a_graph_without_the_tasks_answer_is_refused(tmp_path: Path) -> None:
    graph = write(tmp_path, encoder())
    assert f"{graph}: no output is the model's answer" in refusal(graph, CLASSES)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    graph = tmp_path / "model.onnx"
    graph.write_bytes(b"<html>not found</html>")
    assert f"{graph} cannot be read" in refusal(graph)


@pytest.mark.parametrize("place", ["absent.onnx_data", "../secret", "/etc/passwd"])
def test_weights_that_are_missing_or_outside_the_folder_are_not_read(
    tmp_path: Path, place: str
) -> None:
    (tmp_path / "secret").write_bytes(bytes(1 << 12))
    model = encoder()
    onnx.external_data_helper.convert_model_to_external_data(model, location="w", size_threshold=0)
    graph = write(tmp_path / "model", model)
    listed = onnx.load(str(graph), load_external_data=False)
    for entry in listed.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = place
    graph.write_bytes(listed.SerializeToString())
    assert f"{graph} cannot be read" in refusal(graph)


def test_question_answering_keeps_both_ends_of_its_answers_and_nothing_else(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(
        """
        <ir_version: 8, opset_import: ["" : 14]>
        reader (int64[N, L] input_ids, int64[N, L] attention_mask)
            => (float[N, L] end_logits, float[N, L] start_logits, float[N, L] other)
        {
            start_logits = Cast <to = 1> (input_ids)
            end_logits = Neg (start_logits)
            other = Abs (start_logits)
        }
        """
    )
    target = tmp_path / "imported" / "model.onnx"
    task = QuestionAnswering(stride=8)
    import_onnx(write(tmp_path, model), target, task, pooling_is_stated=False)
    session = open_session(target)
    assert {output.name for output in session.get_outputs()} == {"start_logits", "end_logits"}
    np.testing.assert_array_equal(run_answer(session, FEEDS), np.stack([IDS, -IDS], axis=-1))
