"""The repository API over REST, gRPC and Triton's client, and under load."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
import tritonclient.http

from benchmarks.harness.process import Predictor, predictor
from predictor.grpc.protobuf import pb2, pb2_grpc
from tests.support.clients.load import Load, Outcomes
from tests.support.clients.v2 import outputs_of, text_request
from tests.support.models.packages import describe_again, flip_byte, writable_copy
from tests.support.models.prepare import prepared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.integration

CONNECTIONS = 16
TEXTS = ["the film was good", "a bad book"]


@pytest.fixture
def store(prepared_classifier: Path, multi_label: Path, tmp_path: Path) -> Path:
    """A store's model "m" with versions "one" (current), "two", and "bad", which is damaged."""
    folder = tmp_path / "models"
    versions = folder / "m" / "versions"
    versions.mkdir(parents=True)
    other = prepared(multi_label, "classifier")
    writable_copy(prepared_classifier, versions / "one")
    writable_copy(other, versions / "two")
    bad = writable_copy(other, versions / "bad")
    (bad / "evidence.json").write_text("a version of its own")
    describe_again(bad)
    flip_byte(bad / "tokenizer.json", position=100)
    point(folder, "one")
    return folder


@pytest.fixture
def changing(store: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Predictor]:
    """A server of the store; a test may give it a flag more."""
    flags = (f"--models_dir={store}", "--variant=fp32", *getattr(request, "param", ()))
    with predictor(store, tmp_path / "log", *flags) as running:
        yield running


def point(models: Path, version: str) -> None:
    """Make a version current by one rename, as a publication does."""
    fresh = models / "m" / "fresh"
    fresh.symlink_to(f"versions/{version}")
    fresh.replace(models / "m" / "current")


def load(running: Predictor, name: str = "m") -> Any:
    return running.http.post(f"/v2/repository/models/{name}/load")


def asked(running: Predictor) -> tuple[str, NDArray[Any]]:
    answer = running.infer(text_request(TEXTS)).json()
    return answer["model_version"], outputs_of(answer)["probabilities"]


def test_a_new_version_is_served_when_asked_for_and_a_bad_one_refused(
    changing: Predictor, store: Path
) -> None:
    first, before = asked(changing)
    assert load(changing).json() == {"name": "m", "load": True, "version": first}
    point(store, "two")
    assert asked(changing)[0] == first, "a new version is loaded on request only"
    second = load(changing).json()["version"]
    assert second != first
    version, after = asked(changing)
    assert version == second
    assert np.abs(after - before).max() > 0.01
    assert f'version="{second}"' in changing.metrics()
    assert f'version="{first}"' not in changing.metrics()
    point(store, "bad")
    refused = load(changing)
    assert refused.status_code == 409
    assert "tokenizer.json" in refused.json()["error"]
    assert f"version {second} is still served" in refused.json()["error"]
    assert asked(changing)[0] == second
    assert changing.http.get("/v2/health/ready").status_code == 200


def test_models_are_unloaded_loaded_and_found(
    changing: Predictor, store: Path, prepared_embedder: Path
) -> None:
    assert changing.http.post("/v2/repository/models/m/unload").json() == {
        "name": "m",
        "unload": True,
    }
    assert changing.http.get("/v2/models/m/ready").status_code == 503
    assert changing.infer(text_request(TEXTS)).status_code == 503
    shutil.copytree(prepared_embedder, store / "new")
    assert changing.http.post("/v2/models/new/infer", json=text_request(TEXTS)).status_code == 404
    assert load(changing, "new").status_code == 200
    assert changing.http.post("/v2/models/new/infer", json=text_request(TEXTS)).status_code == 200
    ready = changing.http.post("/v2/repository/index", json={"ready": True}).json()
    assert [row["name"] for row in ready] == ["new"]
    assert load(changing).status_code == 200
    assert asked(changing)[1].shape == (2, 3)


@pytest.mark.parametrize("body", [b"[]", b'{"ready": 1}'])
def test_a_malformed_index_request_is_400(server: Predictor, body: bytes) -> None:
    assert server.http.post("/v2/repository/index", content=body).status_code == 400


def test_grpc_changes_the_repository_and_reports_errors_by_code(
    changing: Predictor, store: Path
) -> None:
    with grpc.insecure_channel(changing.grpc_target) as channel:
        stub = pb2_grpc.GRPCInferenceServiceStub(channel)
        point(store, "two")
        loaded = stub.RepositoryModelLoad(pb2.RepositoryModelLoadRequest(model_name="m"))
        assert (loaded.model_name, loaded.isLoaded) == ("m", True)
        point(store, "bad")
        for name, code in (("m", "FAILED_PRECONDITION"), ("other", "NOT_FOUND")):
            with pytest.raises(grpc.RpcError) as error:
                stub.RepositoryModelLoad(pb2.RepositoryModelLoadRequest(model_name=name))
            assert error.value.code().name == code
        request = pb2.RepositoryModelUnloadRequest(model_name="m")
        unloaded = stub.RepositoryModelUnload(request)
        assert (unloaded.model_name, unloaded.isUnloaded) == ("m", True)
        assert not stub.ModelReady(pb2.ModelReadyRequest(name="m")).ready
        with pytest.raises(grpc.RpcError) as error:
            stub.RepositoryModelUnload(pb2.RepositoryModelUnloadRequest(model_name="other"))
        assert error.value.code() == grpc.StatusCode.NOT_FOUND


def test_tritons_client_reads_and_changes_the_repository(changing: Predictor) -> None:
    with tritonclient.http.InferenceServerClient(changing.url.removeprefix("http://")) as client:
        version = changing.http.get("/v2/models/m").json()["versions"][0]
        assert client.get_model_repository_index() == [
            {"name": "m", "version": version, "state": "READY", "reason": ""}
        ]
        client.unload_model("m")
        assert not client.is_model_ready("m")
        client.load_model("m")
        assert client.is_model_ready("m")


@pytest.mark.parametrize("changing", [(), ("--response_cache_bytes=1000000",)], indirect=True)
@pytest.mark.parametrize("swaps", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_under_load_a_swap_loses_nothing_and_every_answer_is_one_of_a_whole_version(
    changing: Predictor, store: Path, swaps: int
) -> None:
    wanted = {}
    for version in ("two", "one"):
        point(store, version)
        load(changing)
        digest, probabilities = asked(changing)
        wanted[digest] = probabilities

    async def swap(outcomes: Outcomes) -> None:
        for number in range(swaps):
            point(store, ("two", "one")[number % 2])
            assert (await asyncio.to_thread(load, changing)).status_code == 200
            served = list(wanted)[number % 2]
            assert (await asyncio.to_thread(asked, changing))[0] == served, "and no other any more"
        outcomes.stopped = True

    outcomes = asyncio.run(Load(changing, TEXTS, wanted).run(CONNECTIONS, swap))
    assert outcomes.lost == []
    assert outcomes.refused == 0
    assert set(outcomes.answers) == set(wanted), "both have answered"
