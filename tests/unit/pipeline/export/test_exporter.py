"""The exported graph answers as the model does, and no weight is inside the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from transformers import BertConfig, BertModel, XmodConfig, XmodModel, masking_utils
from transformers.models.bert import modeling_bert

from pipeline.export import exporter
from pipeline.graphs import files
from pipeline.graphs.optimization.attention_facts import AttentionFacts
from pipeline.graphs.optimization.fusing import fuse
from pipeline.original.heads import head_of
from pipeline.workspace.workspace import GRAPH
from storage_init.format.tasks import TextEmbedding
from storage_init.raw.hf_config import read_facts
from tests.unit.pipeline.encoders import run

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SMALL = 1024
IDS = np.random.default_rng(1).integers(5, 40, (3, 9))
FEEDS = {
    "input_ids": IDS,
    "attention_mask": np.ones_like(IDS),
    "token_type_ids": np.zeros_like(IDS),
}
EMBEDDING = TextEmbedding(dimension=32, pooling="mean", normalize=False)
WINDOW = 4


def original(source: Path, feeds: dict[str, NDArray[Any]]) -> NDArray[Any]:
    head = head_of(source, read_facts(source).task)
    model = head.load(source).eval()
    with torch.inference_mode():
        found = model(**{name: torch.from_numpy(array) for name, array in feeds.items()})
    answer: NDArray[Any] = found[head.outputs[0]].numpy()
    return answer


@pytest.mark.parametrize("fixture", ["classifier", "embedder", "tagger", "masked"])
def test_the_graph_answers_as_the_model(
    fixture: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = request.getfixturevalue(fixture)
    monkeypatch.setattr(exporter, "MIN_BYTES", SMALL)
    exporter.export(source, tmp_path, head_of(source, read_facts(source).task), [*FEEDS], 18)
    np.testing.assert_allclose(run(tmp_path / GRAPH, FEEDS), original(source, FEEDS), atol=1e-5)
    model = onnx.load(str(tmp_path / GRAPH), load_external_data=False)
    sizes = model.graph.output[0].type.tensor_type.shape.dim
    assert (sizes[0].dim_param, sizes[len(sizes) - 1].dim_value > 0) == ("batch_size", True)
    tensors = model.graph.initializer
    inside = [t for t in tensors if t.data_location != onnx.TensorProto.EXTERNAL]
    assert max(len(tensor.raw_data) for tensor in inside) < SMALL
    assert AttentionFacts.load(tmp_path) == AttentionFacts(heads=4, width=32)


def test_a_mask_of_padding_is_not_spelled_out_for_every_pair_of_tokens(
    embedder: Path, tmp_path: Path
) -> None:
    exporter.export(embedder, tmp_path, head_of(embedder, EMBEDDING), [*FEEDS], 18)
    graph = onnx.load(str(tmp_path / GRAPH), load_external_data=False).graph
    assert {node.op_type for node in graph.node}.isdisjoint({"And", "Flatten", "GreaterOrEqual"})
    mask = np.arange(IDS.shape[1]) < [[9], [4], [1]]
    feeds = FEEDS | {"attention_mask": mask.astype(np.int64)}
    found, wanted = run(tmp_path / GRAPH, feeds), original(embedder, feeds)
    np.testing.assert_allclose(found[mask], wanted[mask], atol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"adapter_layer_norm": True, "ln_before_adapter": False}])
def test_xmod_runs_the_adapter_of_its_default_language_alone(
    settings: dict[str, bool], tmp_path: Path
) -> None:
    torch.manual_seed(4)
    languages = {"languages": ["en_XX", "de_DE", "fr_XX"], "default_language": "de_DE"}
    sizes = {"num_hidden_layers": 1, "hidden_size": 32, "intermediate_size": 64}
    config = XmodConfig(
        **(languages | sizes | settings), num_attention_heads=4, vocab_size=50, pad_token_id=0
    )
    model = XmodModel(config).eval()
    model.save_pretrained(tmp_path / "source")
    head = head_of(tmp_path / "source", EMBEDDING)
    exporter.export(tmp_path / "source", tmp_path, head, [*FEEDS][:2], 18)
    graph = onnx.load(str(tmp_path / GRAPH), load_external_data=False).graph
    assert "NonZero" not in {node.op_type for node in graph.node}
    with torch.inference_mode():
        wanted = model(torch.from_numpy(IDS)).last_hidden_state
    feeds = {name: FEEDS[name] for name in [*FEEDS][:2]}
    np.testing.assert_allclose(run(tmp_path / GRAPH, feeds), wanted, atol=1e-5)


def test_attention_through_a_window_is_not_fused_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def through_a_window(**given: Any) -> Any:
        given["config"].sliding_window = WINDOW
        return masking_utils.create_bidirectional_sliding_window_mask(**given)

    monkeypatch.setattr(modeling_bert, "create_bidirectional_mask", through_a_window)
    torch.manual_seed(3)
    settings = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64}
    config = BertConfig(**settings, num_attention_heads=4, vocab_size=50, initializer_range=0.3)
    BertModel(config).eval().save_pretrained(tmp_path / "source")
    exporter.export(
        tmp_path / "source", tmp_path, head_of(tmp_path / "source", EMBEDDING), [*FEEDS], 18
    )
    fused = fuse(tmp_path / GRAPH)
    files.save(fused.model, tmp_path / "fused" / GRAPH)
    # The text is longer than the window: within it nobody would see the difference.
    ids = np.random.default_rng(2).integers(5, 40, (2, 8 * WINDOW))
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    feeds |= {"token_type_ids": np.zeros_like(ids)}
    model = BertModel.from_pretrained(tmp_path / "source").eval()
    with torch.inference_mode():
        wanted = model(**{name: torch.from_numpy(array) for name, array in feeds.items()})[0]
    np.testing.assert_allclose(run(tmp_path / "fused" / GRAPH, feeds), wanted, atol=1e-4)
    assert fused.get_fused_operator_statistics()["Attention"] == 0
