"""A whole preparation in this process: ONNX sources, hits, failures, and what is left behind."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.preparation import runner
from pipeline.preparation.progress import Lines, StepError
from pipeline.recipe.recipe import Bench, Recipe
from pipeline.workspace.records import STEPS
from storage_init import sources
from storage_init.base.errors import SigningKeyError
from storage_init.format.package import SIGNATURE_FILE
from storage_init.format.selftest import SelfTest
from storage_init.format.tasks import TextEmbedding
from storage_init.format.verify import verify
from storage_init.running.session import input_names, open_session, run_answer
from storage_init.running.tokenizer import Tokenizer
from storage_init.store.layout import Store
from tests.support.models.exports import export_onnx

if TYPE_CHECKING:
    from numpy.typing import NDArray

RECIPE = Recipe(variants=("fp32",), bench=Bench(rounds=1))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(scope="module")
def ready(onnx_classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, str]:
    """A store with the ONNX classifier as ``m``, and the lines of its preparation; read only."""
    store = Store(tmp_path_factory.mktemp("ready"))
    return store, prepare(onnx_classifier, store)[1]


def prepare(folder: Path, store: Store, *, force: bool = False) -> tuple[Path, str]:
    """The version's folder and the lines of progress."""
    log = io.StringIO()
    source = sources.resolve(folder.as_uri())
    done = runner.prepare(source, "m", store, RECIPE, Lines(log), force=force)
    return done.folder, log.getvalue()


def original_logits(folder: Path, graph: Path, texts: list[str]) -> NDArray[np.float32]:
    session = open_session(graph, optimized=False)
    tokenizer = Tokenizer(folder / "tokenizer.json", 64, 0)
    rows = [
        run_answer(session, tokenizer.feeds([encoding], input_names(session)))
        for encoding in tokenizer.encode(texts)
    ]
    return np.concatenate(rows)


def assert_nothing_is_left(store: Store) -> None:
    assert store.names() == []
    assert list(store.root.glob(".staging/*")) == []


def test_an_onnx_classifier_is_prepared_against_its_own_graph(
    onnx_classifier: Path, ready: tuple[Store, str]
) -> None:
    store, progress = ready
    folder = store.resolve("m")
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
    assert found.variants[-1].closeness.worst_cosine == pytest.approx(1, abs=1e-5)


def test_a_second_run_finds_the_version_and_says_if_it_is_unsigned(
    onnx_classifier: Path,
    ready: tuple[Store, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Store(shutil.copytree(ready[0].root, tmp_path / "store", symlinks=True))
    folder = store.resolve("m")
    said = "✓ already prepared from this source and recipe\n"
    assert prepare(onnx_classifier, store) == (folder, said)
    monkeypatch.setenv("WARMSTART_SIGN_KEY", str(tmp_path / "key.pem"))
    sign = f", but unsigned: python -m storage_init.store sign {store.root} m\n"
    assert prepare(onnx_classifier, store) == (folder, said.rstrip() + sign)
    folder.chmod(0o755)
    (folder / SIGNATURE_FILE).write_bytes(b"{}")
    assert prepare(onnx_classifier, store) == (folder, said)
    with pytest.raises(SigningKeyError, match=r"key\.pem"):
        prepare(onnx_classifier, store, force=True)


def test_a_run_continues_after_the_steps_of_an_interrupted_one(
    onnx_classifier: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("pipeline.steps.quantize.quantize", interrupt)
        prepare(onnx_classifier, store)
    assert store.names() == []
    folder, progress = prepare(onnx_classifier, store)
    skipped = [line.split()[2] for line in progress.splitlines() if "was interrupted" in line]
    assert skipped == ["export", "optimize"]
    verify(folder)
    assert list((store.root / ".staging").iterdir()) == []


@pytest.mark.parametrize("unforeseen", [False, True])
def test_a_step_that_fails_says_so_and_leaves_nothing(
    unforeseen: bool,
    onnx_classifier: Path,
    tmp_path: Path,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = shutil.copytree(onnx_classifier, tmp_path / "model")
    message = r"^\[1/6\] snapshot file://.*/model has no fast tokenizer"
    if unforeseen:
        message = r"^\[2/6\] export   failed unexpectedly: ZeroDivisionError: of \(WARM"
        monkeypatch.setattr("pipeline.steps.export.export", _divide)
    else:
        (folder / "tokenizer.json").unlink()
    with pytest.raises(StepError, match=message):
        prepare(folder, store)
    assert_nothing_is_left(store)


def _divide(*_: object) -> str:
    raise ZeroDivisionError("of")


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


# What the storage initializer's image lacks of the pipeline's libraries.
LACKING = ("kfp", "psutil", "torch", "tqdm", "transformers", "yaml")


def test_an_onnx_source_needs_no_more_than_the_storage_initializers_image_has(
    onnx_classifier: Path, tmp_path: Path
) -> None:
    # In a process of its own: this one has imported everything already. Its temporary folder is
    # not there: a pod's is often memory, so no step may write to it.
    code = f"""
import sys
sys.modules.update(dict.fromkeys({LACKING!r}))
from pipeline.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
    flags = ["--source=hf://owner/name", "--name=m", f"--store={tmp_path / 'store'}"]
    files = ["--fetched", "a" * 40, str(onnx_classifier), "--weights=onnx"]
    done = subprocess.run(
        [sys.executable, "-c", code, "package", *flags, *files],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TMPDIR": str(tmp_path / "absent")},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("warning: `package` is deprecated")
    package = verify(Path(done.stdout.splitlines()[-1]))
    assert (package.source.uri, package.source.revision) == ("hf://owner/name", "a" * 40)
    assert {variant.name for variant in package.variants} == {"fp32", "int8"}
