"""``python -m storage_init SRC DST``, the process that KServe starts before a predictor."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from storage_init.base.files import list_files
from storage_init.fetch.initializer import INCOMING
from storage_init.format.verify import verify
from storage_init.store.layout import Store
from tests.support.servers.hub import Hub, Request, hub
from tests.unit.storage_init.fakes import publish_fake, write_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.integration

REPO = "owner/model"
URI = f"hf://{REPO}"
# Every repository of the Hub has one.
ATTRIBUTES = {".gitattributes": b"*.onnx filter=lfs diff=lfs merge=lfs -text\n"}
RAW = {
    "config.json": b"{}",
    "model.safetensors": bytes(range(256)) * 1000,
    "tokenizer.json": b"{}",
}


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A prepared model, as its files lie in a repository."""
    folder = tmp_path / "prepared"
    shutil.copytree(publish_fake(Store(tmp_path / "store")), folder)
    return folder


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return write_files(tmp_path / "raw", {**RAW, **ATTRIBUTES})


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    """A folder that is there and empty, as a mounted volume is."""
    folder = tmp_path / "mnt"
    folder.mkdir()
    return folder


@pytest.fixture
def server() -> Iterator[Hub]:
    with hub({}) as running:
        yield running


def initialize(
    source: str, destination: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "storage_init", source, str(destination)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_refused(done: subprocess.CompletedProcess[str], *named: str) -> None:
    """Exit code 1, and one last line that holds every one of these."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert " ERROR storage_init " in last
    for text in named:
        assert text in last


def damage(folder: Path, path: str) -> None:
    content = bytearray((folder / path).read_bytes())
    content[-1] ^= 1
    (folder / path).unlink()
    (folder / path).write_bytes(content)


def test_a_raw_model_of_the_hub_arrives_and_is_said_to_be_raw(
    server: Hub, raw: Path, destination: Path, tmp_path: Path
) -> None:
    commit = server.push(REPO, raw)
    done = initialize(URI, destination, server.environment(tmp_path))
    assert done.returncode == 0, done.stderr
    assert {path: (destination / path).read_bytes() for path in list_files(destination)} == RAW
    assert "not a prepared model" in done.stderr
    assert f"revision={commit}" in done.stderr


def test_a_prepared_model_of_the_hub_arrives_verified(
    server: Hub, prepared: Path, destination: Path, tmp_path: Path
) -> None:
    server.push(REPO, write_files(prepared, ATTRIBUTES))
    done = initialize(URI, destination, server.environment(tmp_path))
    assert done.returncode == 0, done.stderr
    assert verify(destination).name == "m"
    assert " verified " in done.stderr


@pytest.mark.parametrize("path", ["int8/model.onnx.data", "package.json", "SHA256SUMS"])
def test_a_corrupt_prepared_model_of_the_hub_is_refused_by_name(
    server: Hub, prepared: Path, destination: Path, tmp_path: Path, path: str
) -> None:
    damage(prepared, path)
    server.push(REPO, prepared)
    done = initialize(URI, destination, server.environment(tmp_path))
    assert_refused(done, "failed verification", path)
    assert list(destination.iterdir()) == []


@pytest.mark.parametrize("source", ["s3://bucket/model", "/mnt/model", "file:///nowhere"])
def test_a_source_that_cannot_be_read_is_named(destination: Path, source: str) -> None:
    assert_refused(initialize(source, destination), source)
    assert list(destination.iterdir()) == []


def test_a_download_that_fails_half_way_leaves_nothing(
    server: Hub, raw: Path, destination: Path, tmp_path: Path
) -> None:
    def refuse_weights(request: Request) -> int | None:
        return 403 if request.file == "model.safetensors" else None

    server.push(REPO, raw)
    server.before_answer = refuse_weights
    done = initialize(URI, destination, server.environment(tmp_path))
    assert_refused(done, f"{URI} cannot be fetched: ")
    assert list(destination.iterdir()) == []


def stopped_while_downloading(
    server: Hub, destination: Path, environment: Mapping[str, str], number: signal.Signals
) -> tuple[int, str]:
    """Exit code and log of an initializer that gets a signal when it asks for the weights."""
    started = threading.Event()
    running: list[subprocess.Popen[str]] = []

    def stop(request: Request) -> None:
        if request.file == "model.safetensors" and request.method == "GET":
            started.wait(30)
            running[0].send_signal(number)

    server.before_answer = stop
    command = [sys.executable, "-m", "storage_init", URI, str(destination)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        running.append(process)
        started.set()
        _, log = process.communicate(timeout=60)
    server.before_answer = lambda _: None
    return process.returncode, log


def test_an_interrupted_download_leaves_nothing_and_says_so(
    server: Hub, raw: Path, destination: Path, tmp_path: Path
) -> None:
    server.push(REPO, raw)
    code, log = stopped_while_downloading(
        server, destination, server.environment(tmp_path), signal.SIGINT
    )
    assert code == 130
    # Not always the last line: a thread of huggingface-hub may still warn of its removed file.
    assert "stopped before all destinations were whole\n" in log
    assert list(destination.iterdir()) == []


def test_a_killed_download_shows_no_model_and_the_next_one_succeeds(
    server: Hub, raw: Path, destination: Path, tmp_path: Path
) -> None:
    server.push(REPO, raw)
    environment = server.environment(tmp_path)
    code, _ = stopped_while_downloading(server, destination, environment, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert [path.name for path in destination.iterdir()] == [INCOMING]

    done = initialize(URI, destination, environment)
    assert done.returncode == 0, done.stderr
    assert {path: (destination / path).read_bytes() for path in list_files(destination)} == RAW


def test_in_json_every_line_of_the_log_is_an_object(
    server: Hub, raw: Path, destination: Path, tmp_path: Path
) -> None:
    server.push(REPO, raw)
    environment = server.environment(tmp_path) | {"WARMSTART_LOG_FORMAT": "json"}
    done = initialize(URI, destination, environment)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if not line.startswith("{")] == []


def test_nothing_is_written_outside_the_destination(
    server: Hub, raw: Path, destination: Path, tmp_path: Path
) -> None:
    # A pod's root file system is read-only: a cache beside the destination would fail there.
    server.push(REPO, raw)
    home = tmp_path / "home"
    environment = server.environment(home) | {"HOME": str(home), "TMPDIR": str(home)}
    done = initialize(URI, destination, environment)
    assert done.returncode == 0, done.stderr
    assert [os.fspath(path) for path in home.rglob("*")] == []
