"""The search for the nodes that 8 bits damage: its ranking, its result, and when it gives up."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import onnx
import pytest

from pipeline.evaluation import layer_search
from pipeline.evaluation.baseline import Baseline
from pipeline.evaluation.candidate import Candidate
from pipeline.graphs import files as graphs
from pipeline.graphs.quantization import int8
from pipeline.graphs.quantization.embeddings import quantize_embeddings, tables
from pipeline.recipe.limits import QuantizedGate
from pipeline.recipe.recipe import Int8, Recipe, Search
from pipeline.steps.evaluate import evaluate
from pipeline.steps.quantize import quantize
from pipeline.workspace import evidence
from pipeline.workspace.evidence import Evaluation
from pipeline.workspace.workspace import GRAPH, Workspace
from storage_init.running.session import open_session, run_answer
from tests.unit.pipeline.encoders import operators

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

EVERYTHING = QuantizedGate(max_probability_difference=1.0, min_label_agreement=0.0)


@pytest.fixture
def workspace(quantized: Workspace) -> Iterator[Workspace]:
    """The session's workspace; its int8 is put back at the end."""
    yield quantized
    layer_search.put_back(quantized)
    quantize(quantized, Recipe())


def recipe(limit: float, most: int) -> Recipe:
    gate = msgspec.structs.replace(EVERYTHING, max_probability_difference=limit)
    return Recipe(int8=Int8(gate=gate, search=Search(max_excluded=most)))


def int8_evidence(workspace: Workspace) -> Any:
    return evidence.read(workspace.evidence).variant("int8")


def probability_difference(workspace: Workspace) -> float:
    return float(int8_evidence(workspace).closeness.worst_probability_difference)


def test_a_failing_int8_passes_without_its_worst_nodes_and_always_the_same_ones(
    workspace: Workspace,
) -> None:
    evaluate(workspace, recipe(1.0, 0))
    before = probability_difference(workspace)
    tight = recipe(before / 2, 12)
    said = evaluate(workspace, tight)
    found = int8_evidence(workspace)
    assert found.accepted
    left_out = found.search.excluded
    assert 1 <= len(left_out) <= 12
    assert "int8: " in said
    assert f"{len(left_out)} of 13 nodes at full precision" in said
    assert probability_difference(workspace) <= before / 2
    # The first trial leaves out as many as allowed; the fewest that passed are left out in the end.
    assert found.search.trials[0].excluded == 12
    passed = [trial.excluded for trial in found.search.trials if trial.failure is None]
    assert min(passed) == len(left_out)
    assert all(trial.failure for trial in found.search.trials if trial.excluded < min(passed))
    # The graph on disk is the one that was found.
    graph = onnx.load(str(workspace.graph("int8")), load_external_data=False)
    assert operators(graph).count("MatMulIntegerToFloat") == 13 - len(left_out)
    accepted = msgspec.json.decode(workspace.evaluation.read_bytes(), type=Evaluation).accepted
    assert [variant.name for variant in accepted] == ["fp32", "int8"]
    content = workspace.graph("int8").read_bytes()
    quantize(workspace, tight)
    evaluate(workspace, tight)
    assert int8_evidence(workspace).search == found.search
    assert workspace.graph("int8").read_bytes() == content


def test_int8_stays_as_it_was_and_is_rejected_if_nothing_helps(workspace: Workspace) -> None:
    before = workspace.graph("int8").read_bytes()
    evaluate(workspace, recipe(0.0, 2))
    found = int8_evidence(workspace)
    assert not found.accepted
    assert [trial.excluded for trial in found.search.trials] == [2]
    assert found.search.excluded == []
    assert workspace.graph("int8").read_bytes() == before
    evaluate(workspace, recipe(0.0, 0))
    found = int8_evidence(workspace)
    assert (found.accepted, found.search) == (False, None), "the recipe allows no search"


def test_an_interrupted_search_starts_again_from_the_int8_before_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = workspace.graph("int8").read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Candidate, "open", killed)
        with pytest.raises(KeyboardInterrupt):
            layer_search.search(workspace, recipe(0.0, 2), Baseline.make(workspace, Recipe()))
    assert workspace.graph("int8").read_bytes() != before
    evaluate(workspace, recipe(0.0, 0))
    assert workspace.graph("int8").read_bytes() == before


def test_damage_is_the_distance_with_only_one_node_in_8_bits(workspace: Workspace) -> None:
    baseline = Baseline.make(workspace, Recipe())
    damages = layer_search.rank(workspace, Recipe(), baseline)
    assert len(damages) == 13
    assert [d.distance for d in damages] == sorted((d.distance for d in damages), reverse=True)
    assert damages[-1].distance > 0
    # A graph with only the worst node in 8 bits.
    names = {damage.node for damage in damages}
    quantize(workspace, Recipe(int8=Int8(exclude=tuple(names - {damages[0].node}))))
    texts = baseline.selftest.encodings
    rows = []
    for variant in ("int8", "fp32"):
        session = open_session(workspace.graph(variant))
        inputs = [node.name for node in session.get_inputs()]
        feeds = [baseline.batches.make([text], inputs).feeds for text in texts]
        rows.append(np.concatenate([run_answer(session, one) for one in feeds]))
    far = np.abs(rows[0] - rows[1]).max(axis=1).mean()
    assert damages[0].distance == pytest.approx(far, rel=1e-3)


def test_switches_select_one_of_two_forms_of_every_node(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tiny model's table is smaller than tables that are quantised.
    monkeypatch.setattr(int8, "tables", partial(tables, min_rows=8))
    monkeypatch.setattr(int8, "quantize_embeddings", partial(quantize_embeddings, min_rows=8))
    editor, left_out = int8.open_attentions(workspace.fused / GRAPH, ())
    names = int8.add_switches(editor, left_out, 7)
    # The products of two layers and the pooler, and the tables of words and positions.
    assert len(names) == len(set(names)) == 15
    lookups = [name for name in names if name.endswith("word_embeddings/Gather")]
    assert {"Attention_0_query", *lookups} < set(names)
    graphs.save(editor.model, tmp_path / GRAPH)
    session = open_session(tmp_path / GRAPH)
    baseline = Baseline.make(workspace, Recipe())
    inputs = ["input_ids", "attention_mask", "token_type_ids"]
    feeds = baseline.batches.make(baseline.selftest.encodings[:1], inputs).feeds

    def answer(*on: str) -> NDArray[Any]:
        switches = np.array([name in on for name in names])
        return run_answer(session, {**feeds, int8.SWITCHES: switches})

    np.testing.assert_allclose(answer(), baseline.selftest.answers[:1], atol=1e-5)
    embedded = answer(*lookups)
    assert 1e-5 < np.abs(embedded - answer()).max() < np.abs(answer(*names) - answer()).max()
