"""Preparing without KFP: ONNX sources, hits, failures, and what is left behind."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.commands import local as runs
from pipeline.preparation.package import package
from pipeline.preparation.progress import StepError
from pipeline.recipe.recipe import Recipe
from pipeline.workspace.records import STEPS
from storage_init import sources
from storage_init.base.errors import PackageError
from storage_init.format.package import SIGNATURE_FILE, Source, TextEmbedding
from storage_init.format.selftest import SelfTest
from storage_init.format.verify import verify
from storage_init.running.runtime import Tokenizer, input_names, open_session, run_answer
from storage_init.store.layout import Store
from tests.support.models.exports import export_onnx, move_weights_out

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RECIPE = Recipe(variants=("fp32",))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def prepare(folder: Path, store: Store, recipe: Recipe = RECIPE) -> tuple[Path, str]:
    """The published folder and the lines of progress."""
    progress = io.StringIO()
    return package(
        sources.resolve(folder.as_uri()), "m", store, recipe, progress
    ), progress.getvalue()


def original_logits(folder: Path, graph: Path, texts: list[str]) -> NDArray[np.float32]:
    session = open_session(graph, optimized=False)
    tokenizer = Tokenizer(folder / "tokenizer.json", 64, 0)
    rows = [
        run_answer(session, tokenizer.feeds([encoding], input_names(session)))
        for encoding in tokenizer.encode(texts)
    ]
    return np.concatenate(rows)


def test_an_onnx_classifier_is_prepared_against_its_own_graph(
    onnx_classifier: Path, store: Store
) -> None:
    folder, progress = prepare(onnx_classifier, store)
    found = verify(folder)
    assert sorted(found.tools) == ["onnx", "onnxruntime", "tokenizers", "warmstart"]
    assert [f"✓ [{i}/6] {step:<8}" for i, step in enumerate(STEPS, 1)] == [
        line[:16] for line in progress.splitlines() if line.startswith("✓")
    ]
    assert "already ONNX: model.onnx, opset 18" in progress
    selftest = SelfTest.load(folder / "selftest.npz")
    want = original_logits(onnx_classifier, onnx_classifier / "model.onnx", selftest.texts)
    np.testing.assert_allclose(selftest.reference, want, atol=1e-5)
    (variant,) = found.variants
    assert variant.closeness.worst_logit_difference is not None
    assert variant.closeness.worst_logit_difference < 1e-4
    assert list((store.root / ".staging").iterdir()) == []


def test_weights_beside_a_graph_in_a_folder_of_its_own_come_along(
    onnx_classifier: Path, tmp_path: Path, store: Store
) -> None:
    folder = shutil.copytree(onnx_classifier, tmp_path / "model")
    graph = move_weights_out(folder)
    version, progress = prepare(folder, store)
    assert "already ONNX: onnx/model.onnx" in progress
    selftest = SelfTest.load(version / "selftest.npz")
    want = original_logits(folder, graph, selftest.texts)
    np.testing.assert_allclose(selftest.reference, want, atol=1e-5)


@pytest.mark.parametrize("library", ["transformers", "sentence_transformers"])
def test_an_onnx_embedder_is_pooled_as_its_source_states(
    library: str, embedder: Path, tmp_path: Path, store: Store
) -> None:
    from sentence_transformers import SentenceTransformer

    folder = export_onnx(embedder, tmp_path / "model", opset=14, library=library)
    version, progress = prepare(folder, store)
    assert "already ONNX: model.onnx, opset 14" in progress
    assert "2 Attention" in progress, "a graph that pools by itself is fused, too"
    found = verify(version)
    assert isinstance(found.task, TextEmbedding)
    assert [(tensor.name, tensor.shape[1]) for tensor in found.outputs] == [("embedding", 32)]
    selftest = SelfTest.load(version / "selftest.npz")
    want = SentenceTransformer(str(embedder)).encode(selftest.texts)
    np.testing.assert_allclose(selftest.reference, want, atol=1e-5)
    assert found.variants[0].closeness.worst_cosine == pytest.approx(1, abs=1e-5)


def test_what_was_packaged_is_a_hit_for_a_run_and_for_the_next_package(
    onnx_classifier: Path, store: Store
) -> None:
    folder, _ = prepare(onnx_classifier, store)
    assert prepare(onnx_classifier, store) == (
        folder,
        "✓ already prepared from this source and recipe\n",
    )
    again = runs.run(onnx_classifier.as_uri(), "m", store, RECIPE, progress=io.StringIO())
    assert again.folder == folder


def test_a_hit_that_is_not_signed_says_so_where_it_would_be(
    onnx_classifier: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = prepare(onnx_classifier, store)
    monkeypatch.setenv("WARMSTART_SIGN_KEY", str(tmp_path / "key.pem"))
    again, progress = prepare(onnx_classifier, store)
    assert again == folder
    assert progress.endswith(f", but unsigned: python -m storage_init.store sign {store.root} m\n")
    (folder / SIGNATURE_FILE).write_bytes(b"{}")
    assert "unsigned" not in prepare(onnx_classifier, store)[1]


def test_files_that_are_here_already_are_published_as_what_they_were_fetched_as(
    onnx_classifier: Path, store: Store
) -> None:
    source = Source(uri="hf://owner/name@main", revision="a" * 40)
    folder = package(source, "m", store, RECIPE, io.StringIO(), onnx_classifier)
    assert verify(folder).source == source
    assert store.find("m", RECIPE.key(source)) == folder


def test_a_step_that_fails_says_so_and_leaves_nothing(
    onnx_classifier: Path, tmp_path: Path, store: Store
) -> None:
    folder = shutil.copytree(onnx_classifier, tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(StepError, match=r"^\[2/6\] export   bert has no fast tokenizer"):
        prepare(folder, store)
    assert store.names() == []
    assert list((store.root / ".staging").iterdir()) == []


def test_a_configuration_of_other_labels_is_refused(
    onnx_classifier: Path, tmp_path: Path, store: Store
) -> None:
    folder = shutil.copytree(onnx_classifier, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": "no", "1": "yes"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        StepError, match=r"evaluate the model gives 3 values a text, .* describes 2"
    ):
        prepare(folder, store)


def test_nothing_is_written_to_the_machines_temporary_folder(
    onnx_classifier: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = str(tmp_path / "absent")
    monkeypatch.setattr(tempfile, "tempdir", absent)
    verify(prepare(onnx_classifier, store, Recipe())[0])
    assert tempfile.tempdir == absent


def test_a_name_that_cannot_be_published_fails_before_anything_is_written(
    onnx_classifier: Path, store: Store
) -> None:
    with pytest.raises(PackageError, match="no spaces"):
        package(
            sources.resolve(onnx_classifier.as_uri()), "no spaces", store, RECIPE, io.StringIO()
        )
    assert not store.root.exists()


@pytest.mark.parametrize("source", ["tagger", "reader", "masked"])
def test_an_onnx_model_about_tokens_is_measured_as_its_pytorch_form_is(
    source: str, tmp_path: Path, store: Store, request: pytest.FixtureRequest
) -> None:
    made, _ = prepare(export_onnx(request.getfixturevalue(source), tmp_path / "ready"), store)
    original = request.getfixturevalue(f"prepared_{source}")
    assert verify(made).task == verify(original).task
    got, want = (SelfTest.load(folder / "selftest.npz") for folder in (made, original))
    assert (got.texts, got.pairs, got.rows) == (want.texts, want.pairs, want.rows)
    np.testing.assert_allclose(got.reference, want.reference, atol=1e-4)
