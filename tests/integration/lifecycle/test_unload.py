"""A model is unloaded while clients wait for it: each is answered or refused with the reason."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest

from benchmarks.harness.process import Predictor, predictor
from predictor.grpc.protobuf import pb2_grpc
from tests.support.clients.v2 import grpc_request, text_request
from tests.support.clients.waiting import wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

SECONDS = 120
# A lane runs each text by itself, so that requests wait for a while.
MANY = ["good " * (n % 40 + 1) for n in range(60)]
NOT_READY = "is not ready"


@pytest.fixture
def server(prepared_embedder: Path, prepared_reranker: Path, tmp_path: Path) -> Iterator[Predictor]:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "e").symlink_to(prepared_embedder)
    (folder / "r").symlink_to(prepared_reranker)
    flags = (
        *(f"--models_dir={folder}", "--variant=fp32", "--lanes=1", "--max_batch_tokens=1"),
        # On a busy machine requests may wait long; they must not be refused for that.
        f"--max_queue_seconds={SECONDS}",
    )
    with predictor(folder, tmp_path / "log", *flags, name="e") as running:
        wait_until_ready(running)
        yield running


@dataclass
class Watch:
    """Clients that send requests until they are refused, and the responses they got."""

    said: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    async def rest(self, running: Predictor, path: str, body: dict[str, Any]) -> None:
        async with httpx.AsyncClient(base_url=running.url, timeout=SECONDS) as client:
            while True:
                response = await client.post(path, json=body)
                self.said[f"{path} {response.status_code}"] += 1
                if response.status_code != httpx.codes.OK:
                    if response.status_code != 503 or NOT_READY not in response.text:
                        self.wrong.append(f"{path} {response.status_code} {response.text}")
                    return

    async def grpc(self, running: Predictor) -> None:
        request = grpc_request("e", MANY)
        async with grpc.aio.insecure_channel(running.grpc_target) as channel:
            stub = pb2_grpc.GRPCInferenceServiceStub(channel)
            while True:
                try:
                    await stub.ModelInfer(request, timeout=SECONDS)
                except grpc.aio.AioRpcError as error:
                    self.said[error.code().name] += 1
                    if error.code() != grpc.StatusCode.UNAVAILABLE or NOT_READY not in str(
                        error.details()
                    ):
                        self.wrong.append(f"{error.code()} {error.details()}")
                    return
                self.said["OK"] += 1

    async def leave(self, running: Predictor) -> None:
        """Send a request and leave before the answer."""
        async with httpx.AsyncClient(base_url=running.url) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.post(
                    "/v2/models/e/infer",
                    json=text_request(MANY),
                    timeout=httpx.Timeout(SECONDS, read=0.01),
                )


ROUTES: dict[str, tuple[str, dict[str, Any]]] = {
    "V2": ("/v2/models/e/infer", text_request(MANY)),
    "V1": ("/v1/models/e:predict", {"instances": MANY}),
    "OpenAI": ("/openai/v1/embeddings", {"model": "e", "input": MANY}),
}


async def unload(running: Predictor, watch: Watch, begun: Callable[[], bool]) -> None:
    """Unload the embedder while four clients of each route wait for it, and some have left."""
    clients = [
        asyncio.create_task(watch.rest(running, *ROUTES[name])) for name in ROUTES for _ in range(4)
    ]
    clients += [asyncio.create_task(watch.grpc(running)) for _ in range(4)]
    await asyncio.gather(*(watch.leave(running) for _ in range(4)))
    while not begun():
        await asyncio.sleep(0.01)
    async with httpx.AsyncClient(base_url=running.url, timeout=SECONDS) as client:
        answer = await client.post("/v2/repository/models/e/unload")
        assert answer.json() == {"name": "e", "unload": True}
    await asyncio.wait_for(asyncio.gather(*clients), SECONDS)


def test_clients_of_an_unloaded_model_are_answered_or_refused(
    server: Predictor,
) -> None:
    watch = Watch()
    # Once each route has had an answer, all of its clients wait.
    paths = [path for path, _ in ROUTES.values()]

    def begun() -> bool:
        return watch.said["OK"] > 0 and all(watch.said[f"{path} 200"] > 0 for path in paths)

    asyncio.run(unload(server, watch, begun))
    assert watch.wrong == []
    for told in ("UNAVAILABLE", *(f"{path} 503" for path in paths)):
        assert watch.said[told] == 4, watch.said
    # The other model goes on, and the unloaded one can be loaded again.
    ranked = server.http.post("/rerank", json={"query": "good", "documents": MANY[:2]})
    assert ranked.status_code == httpx.codes.OK
    assert server.http.post("/v2/repository/models/e/load").status_code == httpx.codes.OK
    for path, body in ROUTES.values():
        assert server.http.post(path, json=body).status_code == httpx.codes.OK
