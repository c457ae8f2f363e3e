"""Several models in one server: each answers for itself, and a bad one harms no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.process import Predictor, predictor, run_to_end
from tests.packages import flip_byte, writable_copy
from tests.v2 import outputs_of, text_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def folder(
    prepared_classifier: Path, prepared_embedder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("models")
    writable_copy(prepared_classifier, folder / "classifier")
    writable_copy(prepared_embedder, folder / "embedder")
    broken = writable_copy(prepared_classifier, folder / "broken")
    flip_byte(broken / "tokenizer.json", position=100)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    log = tmp_path_factory.mktemp("log") / "predictor.log"
    # model_dir is not looked at; the helper waits for the model of this name.
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
    assert set(server.http.get("/v1/models").json()["models"]) == {
        *("broken", "classifier", "embedder")
    }


def test_a_bad_model_is_not_ready_and_neither_is_the_server_but_the_others_are(
    server: Predictor,
) -> None:
    ready = {
        name: server.http.get(f"/v2/models/{name}/ready").status_code
        for name in ("classifier", "embedder", "broken")
    }
    assert ready == {"classifier": 200, "embedder": 200, "broken": 503}
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
