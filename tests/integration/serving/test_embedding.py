"""Embedders beside sentence-transformers: pooling, dense layers, prompts and dimensions."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest

from benchmarks.harness.process import Predictor, predictor
from pipeline.evaluation.baseline import baseline_outputs
from pipeline.recipe.recipe import Recipe
from pipeline.steps.export import export
from pipeline.steps.optimize import optimize
from pipeline.steps.snapshot import snapshot
from pipeline.workspace.workspace import Workspace
from predictor.engine.engine import Engine
from predictor.engine.tasks.registry import task_for
from predictor.protocol.types import Texts
from storage_init import sources
from storage_init.format.package import TOKENIZER_FILE
from storage_init.format.tasks import Pooling
from storage_init.running.session import open_session
from storage_init.running.tokenizer import Tokenizer
from tests.support.clients.v2 import answered, text_request
from tests.support.models.engines import rows_of
from tests.support.models.models import DIMENSION, PROMPTS, make_embedder, source
from tests.support.models.originals import original_vectors
from tests.support.models.prepare import prepared
from tests.support.models.sentences import sentences

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.integration

# Some have more tokens than the model accepts.
TEXTS = ["", "good", *sentences(58, longest=70)]
MODEL = "prompted"
FP32 = Recipe(variants=("fp32",))


@pytest.fixture(scope="module")
def exported(embedder: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with an exported embedder, before optimize adds the pooling; read only."""
    workspace = Workspace(tmp_path_factory.mktemp("workspace"))
    snapshot(sources.resolve(embedder.as_uri()), workspace, FP32)
    export(workspace, FP32)
    return workspace


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_every_pooling_agrees_with_sentence_transformers(
    exported: Workspace, pooling: Pooling, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path / "workspace")
    shutil.copytree(exported.root, workspace.root)
    (workspace.source / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": DIMENSION, "pooling_mode": pooling})
    )
    wanted = check_vectors(workspace)
    assert np.std(wanted, axis=0).min() > 1e-3, "the texts' vectors must differ"


@pytest.mark.parametrize(
    "dense",
    [
        [(16, "Tanh")],
        [(16, "Identity")],
        [(48, "ReLU")],
        [(16, "GELU")],
        [(16, "Sigmoid")],
        [(64, "GELU"), (16, "Tanh")],
    ],
)
@pytest.mark.parametrize("normalize", [True, False])
def test_dense_layers_agree_with_sentence_transformers(
    dense: list[tuple[int, str]], normalize: bool, tmp_path: Path
) -> None:
    folder = source(make_embedder, normalize=normalize, dense=dense)
    workspace = Workspace(tmp_path / "workspace")
    snapshot(sources.resolve(folder.as_uri()), workspace, FP32)
    export(workspace, FP32)
    wanted = check_vectors(workspace)
    assert wanted.shape == (60, dense[-1][0])
    assert np.std(wanted, axis=0).max() > 1e-3, "the texts' vectors must differ"


def check_vectors(workspace: Workspace) -> NDArray[np.float32]:
    """Compare the optimized graph and the baseline with sentence-transformers' vectors [60, D]."""
    optimize(workspace, FP32)
    facts = workspace.facts(FP32)
    tokenizer = Tokenizer(
        workspace.exported / TOKENIZER_FILE, facts.limits.max_length, facts.pad_token_id
    )
    engine = Engine(open_session(workspace.graph("fp32")), tokenizer, task_for(facts.task))
    # In batches, so that there is padding.
    got = np.concatenate([rows_of(engine, Texts(TEXTS[i : i + 7])) for i in range(0, 60, 7)])
    wanted = original_vectors(workspace.source, TEXTS)
    np.testing.assert_allclose(got, wanted, atol=1e-4)
    baseline = baseline_outputs(workspace, facts, TEXTS, tokenizer)
    np.testing.assert_allclose(baseline, wanted, atol=1e-5)
    return wanted


def test_a_model_with_dense_layers_serves_fewer_dimensions(
    tmp_path: Path,
) -> None:
    layered = source(make_embedder, dense=[(64, "GELU"), (24, "Tanh")])
    with predictor(prepared(layered, "layered"), tmp_path / "predictor.log") as running:
        got = answered(running.infer(text_request(TEXTS, dimensions=8)))["embedding"]
        whole = answered(running.infer(text_request(TEXTS)))["embedding"]
    assert np.shape(whole) == (60, 24)
    wanted = original_vectors(layered, TEXTS, truncate_dim=8, normalize_embeddings=True)
    # The int8 variant may be served.
    assert (got * wanted).sum(axis=1).min() > 0.99


@pytest.mark.parametrize("prompt", [None, *PROMPTS])
def test_prompts_agree_with_sentence_transformers(
    model: Predictor, prompted: Path, prompt: str | None
) -> None:
    asked = {} if prompt is None else {"prompt_name": prompt}
    got = answered(model.infer(text_request(TEXTS, **asked)))["embedding"]
    np.testing.assert_allclose(
        got, original_vectors(prompted, TEXTS, prompt_name=prompt), atol=1e-4
    )


def test_fewer_dimensions_agree_with_sentence_transformers(
    model: Predictor, prompted: Path
) -> None:
    wanted = original_vectors(prompted, TEXTS, truncate_dim=8, normalize_embeddings=True)
    got = answered(model.infer(text_request(TEXTS, dimensions=8)))["embedding"]
    assert got.shape == (len(TEXTS), 8)
    np.testing.assert_allclose(got, wanted, atol=1e-4)


def test_v1_answers_as_v2_does(model: Predictor) -> None:
    asked = {"dimensions": 8, "prompt_name": "passage"}
    wanted = answered(model.infer(text_request(TEXTS, **asked)))["embedding"]
    v1 = model.predict({"instances": TEXTS, "parameters": asked}).json()["predictions"]
    np.testing.assert_allclose([row["embedding"] for row in v1], wanted, atol=1e-6)
