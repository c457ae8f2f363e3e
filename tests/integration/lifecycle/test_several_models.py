"""Several models in one server: a bad one does not affect the others."""

from __future__ import annotations

import json
import shutil
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from benchmarks.harness.process import Predictor, predictor, run_to_end
from tests.support.clients.v2 import outputs_of, text_request
from tests.support.models.packages import describe_again, flip_byte, writable_copy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

GOOD = {"classifier", "embedder"}
# Models with a damaged file, with wrong answers, and with an output larger than the memory.
BAD = {"broken": "tokenizer.json", "forgetful": "self-test failed", "giant": "allocate memory"}


@pytest.fixture(scope="module")
def folder(
    prepared_classifier: Path, prepared_embedder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("models")
    writable_copy(prepared_classifier, folder / "classifier")
    writable_copy(prepared_embedder, folder / "embedder")
    broken = writable_copy(prepared_classifier, folder / "broken")
    flip_byte(broken / "tokenizer.json", position=100)
    forgetful = writable_copy(prepared_classifier, folder / "forgetful")
    _reverse_references(forgetful / "selftest.npz")
    describe_again(forgetful)
    _write_giant(prepared_embedder, folder / "giant")
    return folder


def _reverse_references(path: Path) -> None:
    """Reverse the expected answers of a self-test."""
    with np.load(path) as content:
        arrays = dict(content)
    np.savez(path, **{**arrays, "reference": arrays["reference"][::-1]})


def _write_giant(package: Path, folder: Path) -> None:
    """Write a plain embedder whose output takes 4 TB for each token."""
    folder.mkdir()
    shutil.copyfile(package / "tokenizer.json", folder / "tokenizer.json")
    (folder / "config.json").write_text(
        json.dumps({"architectures": ["BertModel"], "model_type": "bert", "hidden_size": 10**12})
    )
    graph = onnx.parser.parse_model(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        model (int64[N, L] input_ids, int64[N, L] attention_mask)
            => (float[N, L, D] last_hidden_state) {
            width = Constant <value = int64[1] {1000000000000}> ()
            size = Shape (input_ids)
            whole = Concat <axis = 0> (size, width)
            last_hidden_state = ConstantOfShape (whole)
        }
        """
    )
    onnx.save(graph, folder / "model.onnx")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "predictor.log"


@pytest.fixture(scope="module")
def server(folder: Path, log: Path) -> Iterator[Predictor]:
    # The name is that of the model to wait for.
    flags = (f"--models_dir={folder}",)
    with predictor(folder, log, *flags, name="classifier") as running:
        yield running


def test_each_model_answers_for_itself(server: Predictor) -> None:
    answers = {
        name: server.http.post(f"/v2/models/{name}/infer", json=text_request(["good"])).json()
        for name in ("classifier", "embedder")
    }
    assert {name: answer["model_name"] for name, answer in answers.items()} == {
        "classifier": "classifier",
        "embedder": "embedder",
    }
    assert "label" in outputs_of(answers["classifier"])
    assert "embedding" in outputs_of(answers["embedder"])
    assert set(server.http.get("/v1/models").json()["models"]) == GOOD | set(BAD)


@pytest.mark.parametrize(("name", "reason"), BAD.items())
def test_a_bad_model_is_named_with_its_reason_in_index_and_log(
    server: Predictor, log: Path, name: str, reason: str
) -> None:
    def row() -> Any:
        index = server.http.post("/v2/repository/index").json()
        return next(each for each in index if each["name"] == name)

    while row()["state"] == "LOADING":
        time.sleep(0.01)
    assert row()["state"] == "UNAVAILABLE"
    assert reason in row()["reason"]
    assert server.http.get(f"/v2/models/{name}/ready").status_code == 503
    (line,) = [x for x in log.read_text().splitlines() if f"{name} did not become ready" in x]
    assert "ERROR" in line
    asked = server.http.post(f"/v2/models/{name}/load", json={})
    again = server.http.post(f"/v2/repository/models/{name}/load")
    assert (asked.status_code, again.status_code) == (404, 409)
    assert reason in again.json()["error"]
    assert server.http.post("/v2/models/classifier/infer", json=text_request(["good"])).is_success


def test_a_bad_model_makes_the_server_unready_but_not_the_other_models(
    server: Predictor,
) -> None:
    ready = {
        name: server.http.get(f"/v2/models/{name}/ready").status_code for name in GOOD | set(BAD)
    }
    assert ready == dict.fromkeys(GOOD, 200) | dict.fromkeys(BAD, 503)
    assert server.http.get("/v2/health/ready").status_code == 503
    asked = server.http.post("/v2/models/broken/infer", json=text_request(["good"]))
    assert (asked.status_code, asked.json()) == (503, {"error": "model broken is not ready"})


def test_with_no_good_model_the_server_ends_and_names_each(folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        broken = writable_copy(folder / "classifier", tmp_path / name)
        flip_byte(broken / "package.json", position=100)
    done = run_to_end(tmp_path, f"--models_dir={tmp_path}")
    assert done.returncode == 1
    for name in ("one", "two"):
        assert f"{name} did not become ready" in done.stderr
