"""Triton's and KServe's clients, Node's, and programs that measure."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.clients.rows import TEXTS, Server, row, use_own_encoding

NODE = """
const OpenAI = require("openai");
const [url, texts] = process.argv.slice(-2);
const client = new OpenAI({ baseURL: url, apiKey: "none", maxRetries: 0 });
(async () => {
  const models = await client.models.list();
  if (!models.data.some((model) => model.id === "embedder")) throw new Error("no embedder");
  const answer = await client.embeddings.create({ model: "embedder", input: JSON.parse(texts) });
  console.log(JSON.stringify(answer.data.map((each) => each.embedding)));
})();
"""


@row("`openai` (JavaScript)", '`new OpenAI({ baseURL: "http://HOST/v1" })`', "vectors")
def openai_node(server: Server) -> Any:
    packages = Path(sys.prefix).parent / "node"
    command = ["node", "-e", NODE, "--", server.v1, json.dumps(TEXTS)]
    done = subprocess.run(command, cwd=packages, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def _triton(module: Any, target: str) -> Any:
    """What Triton's perf_analyzer asks for before it measures, and one of its requests."""
    import numpy as np

    client = module.InferenceServerClient(target)
    grpc = module.__name__.endswith("grpc")
    as_json = {"as_json": True} if grpc else {}
    metadata = client.get_model_metadata("classifier", **as_json)
    assert {"model_configuration", "statistics"} <= {
        *client.get_server_metadata(**as_json)["extensions"]
    }
    config = client.get_model_config("classifier", **as_json)
    config = config["config"] if grpc else config
    assert {each["name"] for each in config["input"]} == {i["name"] for i in metadata["inputs"]}
    text = module.InferInput("text", [len(TEXTS)], "BYTES")
    text.set_data_from_numpy(np.array(TEXTS, dtype=np.object_))
    outputs = [module.InferRequestedOutput(each["name"]) for each in metadata["outputs"]]
    before = _counted(client, as_json)
    more = {} if grpc else {"request_compression_algorithm": "gzip"}
    answer = client.infer("classifier", [text], outputs=outputs, **more)
    assert _counted(client, as_json) == before + 1
    index = client.get_model_repository_index(**as_json)
    rows = index["models"] if grpc else index
    assert "classifier" in {each["name"] for each in rows}
    client.load_model("classifier")
    return [label.decode() for label in answer.as_numpy("label")]


def _counted(client: Any, as_json: dict[str, bool]) -> int:
    (stats,) = client.get_inference_statistics("classifier", **as_json)["model_stats"]
    return int(stats["inference_stats"]["success"].get("count", 0))


@row(
    "`tritonclient.http`, and what perf_analyzer asks for",
    '`InferenceServerClient("HOST:8080")`',
    "best labels",
)
def triton_http(server: Server) -> Any:
    from tritonclient import http

    return _triton(http, server.root.removeprefix("http://"))


@row(
    "`tritonclient.grpc`, and what perf_analyzer asks for",
    '`InferenceServerClient("HOST:8081")`',
    "best labels",
)
def triton_grpc(server: Server) -> Any:
    from tritonclient import grpc

    return _triton(grpc, server.grpc)


@row("`tritonclient`, shared memory for an output", "refused with 400", "no shared memory")
def triton_shared_memory(server: Server) -> Any:
    import numpy as np
    from tritonclient import http
    from tritonclient.utils import InferenceServerException

    client = http.InferenceServerClient(server.root.removeprefix("http://"))
    text = http.InferInput("text", [1], "BYTES")
    text.set_data_from_numpy(np.array(TEXTS[:1], dtype=np.object_))
    output = http.InferRequestedOutput("label")
    output.set_shared_memory("region", 64)
    try:
        client.infer("classifier", [text], outputs=[output])
    except InferenceServerException as error:
        return str(error)
    return "answered"


@row(
    "KServe's SDK, `InferenceRESTClient`",
    'base URL `"http://HOST"`, V2',
    "best labels",
    with_server=True,
)
def kserve_rest(server: Server) -> Any:
    from kserve import InferenceRESTClient, RESTConfig

    return _kserve(InferenceRESTClient(RESTConfig(protocol="v2")), server.root)


@row(
    "KServe's SDK, `InferenceGRPCClient`",
    '`InferenceGRPCClient("HOST:8081")`',
    "best labels",
    with_server=True,
)
def kserve_grpc(server: Server) -> Any:
    from kserve import InferenceGRPCClient

    return _kserve(lambda: InferenceGRPCClient(server.grpc))


def _kserve(client: Any, *base: str) -> Any:
    import asyncio

    import numpy as np
    from kserve import InferInput, InferRequest

    text = InferInput("text", [len(TEXTS)], "BYTES")
    text.set_data_from_numpy(np.array(TEXTS, dtype=np.object_), binary_data=True)

    async def ask() -> Any:
        made = client() if callable(client) else client
        further = {"model_name": "classifier"} if base else {}
        answer = await made.infer(*base, InferRequest("classifier", [text]), **further)
        await made.close()
        return answer

    label = asyncio.run(ask()).outputs[0].as_numpy()
    return [each.decode() if isinstance(each, bytes) else each for each in label]


@row("MTEB, over `openai`", "the model of an `OpenAI` client, as a sentence encoder", "vectors")
def mteb_openai(server: Server) -> Any:
    import numpy as np
    from mteb.models.model_implementations.openai_models import OpenAIModel
    from openai import OpenAI
    from torch.utils.data import DataLoader

    use_own_encoding()
    client = OpenAI(base_url=server.v1, api_key="none", max_retries=0)
    model = OpenAIModel("embedder", 1000, embed_dim=32, client=client)
    batches = DataLoader([{"text": text} for text in TEXTS], batch_size=2)
    of_task = {"task_metadata": None, "hf_split": "test", "hf_subset": "default"}
    return np.asarray(model.encode(batches, **of_task)).tolist()


@row("`aiperf profile`", '`--endpoint-type embeddings --url "http://HOST"`', "requests")
def aiperf(server: Server) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(str(Path(sys.executable).with_name("aiperf")), "profile", "--model", "embedder"),
            *("--endpoint-type", "embeddings", "--url", server.root, "--request-count", "8"),
            *("--concurrency", "2", "--artifact-dir", folder, "--ui", "none"),
            *("--tokenizer", server.tokenizer, "--isl", "20", "--num-dataset-entries", "4"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stdout + done.stderr
        (summary,) = Path(folder).rglob("profile_export_aiperf.json")
        return json.loads(summary.read_text())["request_count"]["avg"]
