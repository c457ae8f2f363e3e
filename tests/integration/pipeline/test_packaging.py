"""A raw ONNX repository becomes a prepared model where there is no PyTorch, and is served."""

from __future__ import annotations

import logging
import os
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.harness.process import predictor
from storage_init import sources
from storage_init.fetch import preparing
from storage_init.fetch.preparing import PreparationError, can_prepare, prepare
from storage_init.fetch.shared_store import SharedStore, StoredVersion
from storage_init.format.verify import verify
from storage_init.running.activations import probabilities
from storage_init.running.session import input_names, open_session, run_answer
from storage_init.running.tokenizer import Tokenizer
from storage_init.store.layout import Store
from tests.support.models.exports import export_onnx

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.integration

TEXTS = ["the film was good", "a bad book", "i would never watch this again"]
ABSENT = ("torch", "transformers", "kfp", "sentence_transformers")

# Run by every interpreter that finds it on its path, before anything else.
BLOCKER = f"""
import sys

class Blocker:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker)
"""


@pytest.fixture
def no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes started from here on cannot import what only the pipeline's image has."""
    folder = tmp_path / "blocker"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BLOCKER)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


@pytest.mark.usefixtures("no_torch")
@pytest.mark.parametrize("kind", ["classifier", "embedder"])
def test_an_onnx_repository_is_prepared_without_torch_and_served_as_its_own_graph_answers(
    kind: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    raw = export_onnx(request.getfixturevalue(kind), tmp_path / "raw")
    store = Store(tmp_path / "store")
    assert can_prepare(raw) is None
    version = prepare(sources.resolve(raw.as_uri()), raw, kind, store)

    found = verify(version)
    assert version == store.resolve(kind)
    assert not set(found.tools) & set(ABSENT)
    assert {variant.name for variant in found.variants} == {"fp32", "int8"}
    said = [record.getMessage() for record in caplog.records]
    assert any("already ONNX: model.onnx" in line for line in said)
    assert list((store.root / ".staging").iterdir()) == []

    with predictor(version, tmp_path / "log", "--variant=fp32") as running:
        answer = running.predict({"instances": TEXTS}).json()["predictions"]
    key = "probabilities" if kind == "classifier" else "embedding"
    got = np.array([row[key] for row in answer])
    np.testing.assert_allclose(got, _original(raw, kind), atol=1e-4)


@pytest.mark.usefixtures("no_torch")
def test_a_second_pod_finds_what_the_first_one_prepared(classifier: Path, tmp_path: Path) -> None:
    raw = export_onnx(classifier, tmp_path / "raw")
    source = sources.resolve(raw.as_uri())
    first = prepare(source, raw, "m", Store(tmp_path / "store"))
    written = (first / "package.json").stat().st_mtime_ns
    assert prepare(source, raw, "m", Store(tmp_path / "store")) == first
    assert (first / "package.json").stat().st_mtime_ns == written


@pytest.mark.usefixtures("no_torch")
def test_a_step_that_fails_is_the_errors_own_sentence(classifier: Path, tmp_path: Path) -> None:
    raw = export_onnx(classifier, tmp_path / "raw")
    (raw / "model.onnx").write_bytes(b"not a graph")
    store = Store(tmp_path / "store")
    with pytest.raises(PreparationError, match=r"^\[2/6\] export   .*model\.onnx cannot be read"):
        prepare(sources.resolve(raw.as_uri()), raw, "m", store)
    assert store.names() == []
    assert list((store.root / ".staging").iterdir()) == []


@pytest.mark.usefixtures("no_torch")
def test_pytorch_weights_are_exported_only_where_torch_is(classifier: Path, tmp_path: Path) -> None:
    # This process has torch, the one that it starts has not.
    raw = shutil.copytree(classifier, tmp_path / "raw")
    with pytest.raises(PreparationError, match="exporting PyTorch weights needs torch"):
        prepare(sources.resolve(raw.as_uri()), raw, "m", Store(tmp_path / "store"))


def test_of_a_repository_with_both_each_image_makes_what_it_can_and_takes_no_others_for_it(
    classifier: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    raw = shutil.copytree(classifier, tmp_path / "raw")
    (raw / "onnx").mkdir()
    shutil.copyfile(export_onnx(raw, tmp_path / "export") / "model.onnx", raw / "onnx/model.onnx")
    shared = SharedStore(Store(tmp_path / "store"))
    source = sources.resolve(raw.as_uri())

    with monkeypatch.context() as no_torch:
        no_torch.setattr(preparing, "TORCH_TOOLS", ("no_torch_here",))
        graph = shared.obtain(source)
        assert not graph.hit
        assert shared.obtain(source) == StoredVersion(graph.folder, hit=True)
    said = [record.getMessage() for record in caplog.records]
    assert "taking the repository's own ONNX graph" in said
    assert any("already ONNX: onnx/model.onnx" in line for line in said)

    exported = shared.obtain(source)
    assert not exported.hit
    assert verify(exported.folder).key != verify(graph.folder).key
    assert not any("already ONNX" in r.getMessage() for r in caplog.records[len(said) :])
    assert shared.obtain(source) == StoredVersion(exported.folder, hit=True)

    with monkeypatch.context() as no_torch:
        no_torch.setattr(preparing, "TORCH_TOOLS", ("no_torch_here",))
        assert shared.obtain(source) == StoredVersion(exported.folder, hit=True), (
            "made by who can do more"
        )


def _original(raw: Path, kind: str) -> NDArray[Any]:
    """The raw graph's own answers: probabilities [N, C], or mean-pooled unit vectors [N, D]."""
    session = open_session(raw / "model.onnx", optimized=True)
    tokenizer = Tokenizer(raw / "tokenizer.json", 48, 0)
    rows = [
        run_answer(session, tokenizer.feeds([encoding], input_names(session)))
        for encoding in tokenizer.encode(TEXTS)
    ]
    if kind == "classifier":
        return probabilities(np.concatenate(rows), "softmax")
    pooled = np.concatenate([row.mean(axis=1) for row in rows])
    return np.asarray(pooled / np.linalg.norm(pooled, axis=1, keepdims=True))
