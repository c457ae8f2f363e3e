"""``hf://`` sources against a local hub, through huggingface-hub as it is installed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from storage_init.package import Source
from storage_init.verify import list_files
from tests.hub import Hub, hub
from tests.unit.storage_init.fakes import write_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.integration

REPO = "owner/a-model.v1"
TOKEN = "hf_accepted"  # noqa: S105 - of the local hub
NEEDED = {
    "1_Pooling/config.json": b"{}",
    "README.md": b"# A model",
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": bytes(range(256)) * 300,
    "tokenizer.json": b"{}",
}
OTHERS = {
    ".gitattributes": b"*.safetensors filter=lfs",
    "onnx/model.onnx": b"a copy",
    "onnx/model_int8.onnx": b"another copy",
    "pytorch_model.bin": b"a pickle",
    "training_args.bin": b"a pickle",
    "handler.py": b"raise SystemExit",
}
# One process a call: huggingface-hub reads HF_ENDPOINT when it is imported.
RESOLVE = """
import sys, msgspec
from storage_init import sources
print(msgspec.json.encode(sources.resolve(sys.argv[1])).decode())
"""
FETCH = """
import sys, msgspec, pathlib
from storage_init import sources
from storage_init.errors import SourceError
from storage_init.package import Source
try:
    sources.fetch(msgspec.json.decode(sys.argv[1], type=Source), pathlib.Path(sys.argv[2]))
except SourceError as error:
    sys.exit(f"refused: {error}")
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write_files(tmp_path / "repository", NEEDED | OTHERS)


@pytest.fixture
def server(repository: Path) -> Iterator[Hub]:
    with hub({REPO: repository}) as running:
        yield running


def run(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def resolve(server: Hub, home: Path, uri: str) -> Source:
    done = run(server.environment(home), "-c", RESOLVE, uri)
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=Source)


def fetch(
    server: Hub, home: Path, source: Source, destination: Path
) -> subprocess.CompletedProcess[str]:
    content = msgspec.json.encode(source).decode()
    return run(server.environment(home), "-c", FETCH, content, str(destination))


def refusal(environment: Mapping[str, str], uri: str, destination: Path) -> str:
    """The last line of an initializer that gives up, without its time and level."""
    done = run(environment, "-m", "storage_init", uri, str(destination))
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not list_files(destination)
    _, _, message = done.stderr.splitlines()[-1].partition(" ERROR storage_init ")
    return message


@pytest.mark.parametrize(
    ("suffix", "revision"),
    [
        ("", "main"),
        ("@main", "main"),
        (":main", "main"),
        ("@v1.0", "v1.0"),
        ("@refs/pr/1", "refs/pr/1"),
    ],
)
def test_a_branch_or_tag_is_pinned_to_the_commit_it_has_now(
    server: Hub, tmp_path: Path, suffix: str, revision: str
) -> None:
    other = write_files(tmp_path / "other", NEEDED)
    server.push(REPO, other, "v1.0")
    server.push(REPO, other, "refs/pr/1")
    source = resolve(server, tmp_path, f"hf://{REPO}{suffix}")
    assert source == Source(uri=f"hf://{REPO}{suffix}", revision=server.commit(REPO, revision))


def test_a_commit_is_resolved_without_a_request(server: Hub, tmp_path: Path) -> None:
    commit = "0123456789" * 4
    assert resolve(server, tmp_path, f"hf://{REPO}@{commit}").revision == commit
    assert server.requests == []


def test_only_the_needed_files_are_asked_for_and_kept(server: Hub, tmp_path: Path) -> None:
    destination = tmp_path / "destination"
    source = resolve(server, tmp_path, f"hf://{REPO}")
    done = fetch(server, tmp_path, source, destination)
    assert done.returncode == 0, done.stderr
    assert {path: (destination / path).read_bytes() for path in list_files(destination)} == NEEDED
    assert sorted(path.name for path in destination.iterdir() if path.is_dir()) == ["1_Pooling"]
    assert server.downloads() == set(NEEDED)
    assert {request.file for request in server.requests} - {""} == set(NEEDED)


def test_a_branch_that_moved_after_it_was_resolved_does_not_change_what_is_fetched(
    server: Hub, tmp_path: Path
) -> None:
    source = resolve(server, tmp_path, f"hf://{REPO}@main")
    moved = write_files(tmp_path / "moved", {**NEEDED, "model.safetensors": b"others"})
    assert server.push(REPO, moved) != source.revision
    destination = tmp_path / "destination"
    assert fetch(server, tmp_path, source, destination).returncode == 0
    assert (destination / "model.safetensors").read_bytes() == NEEDED["model.safetensors"]
    asked = [request.path for request in server.requests if request.file]
    assert all(f"/resolve/{source.revision}/" in path for path in asked)


def test_a_branch_that_moves_while_it_is_fetched_does_not_mix_two_commits(
    server: Hub, tmp_path: Path
) -> None:
    moved = write_files(tmp_path / "moved", dict.fromkeys(NEEDED, b"others"))

    def move(request: object) -> None:
        server.push(REPO, moved)

    source = resolve(server, tmp_path, f"hf://{REPO}@main")
    server.before_answer = move
    destination = tmp_path / "destination"
    assert fetch(server, tmp_path, source, destination).returncode == 0
    assert {path: (destination / path).read_bytes() for path in list_files(destination)} == NEEDED


def test_a_repository_of_pickles_is_refused_by_name_and_none_is_downloaded(
    server: Hub, tmp_path: Path
) -> None:
    pickles = {"config.json": b"{}", "pytorch_model.bin": b"a pickle"}
    server.push(REPO, write_files(tmp_path / "pickles", pickles))
    message = refusal(server.environment(tmp_path), f"hf://{REPO}", tmp_path / "destination")
    assert message == (
        f"hf://{REPO} has only pickled weights (pytorch_model.bin), which are refused; "
        "needed are *.safetensors or *.onnx"
    )
    assert server.downloads() == set()


@pytest.mark.parametrize("token", [None, "hf_of_somebody_else"])
def test_a_gated_repository_says_what_to_do(
    repository: Path, tmp_path: Path, token: str | None
) -> None:
    with hub({REPO: repository}, gated={REPO: TOKEN}) as server:
        environment = server.environment(tmp_path, token)
        message = refusal(environment, f"hf://{REPO}", tmp_path / "destination")
    assert message == f"hf://{REPO} is gated: accept its terms and set HF_TOKEN"


def test_a_gated_repository_is_fetched_with_the_token_that_it_needs(
    repository: Path, tmp_path: Path
) -> None:
    destination = tmp_path / "destination"
    with hub({REPO: repository}, gated={REPO: TOKEN}) as server:
        environment = server.environment(tmp_path, TOKEN)
        done = run(environment, "-m", "storage_init", f"hf://{REPO}", str(destination))
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stderr
    assert list_files(destination) == set(NEEDED)


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("hf://owner/none", "no such repository, or a private one and HF_TOKEN is not set"),
        (f"hf://{REPO}@none", "the repository has no such revision"),
        (f"hf://{REPO}@{'0' * 40}", "the repository has no such revision"),
    ],
)
def test_what_the_hub_does_not_have_is_named(
    server: Hub, tmp_path: Path, uri: str, sentence: str
) -> None:
    message = refusal(server.environment(tmp_path), uri, tmp_path / "destination")
    assert message == f"{uri}: {sentence}"


@pytest.mark.parametrize("name", ["two--dashes", ".hidden", "ends-in.git"])
def test_a_name_that_the_hub_does_not_allow_is_refused_without_a_request(
    server: Hub, tmp_path: Path, name: str
) -> None:
    uri = f"hf://owner/{name}"
    assert refusal(server.environment(tmp_path), uri, tmp_path / "destination").startswith(uri)
    assert server.requests == []


@pytest.mark.parametrize("status", [500, 503])
def test_a_failing_hub_is_reported_in_one_line_that_names_the_source(
    server: Hub, tmp_path: Path, status: int
) -> None:
    server.before_answer = lambda _: status
    message = refusal(server.environment(tmp_path), f"hf://{REPO}", tmp_path / "destination")
    assert message.startswith(f"hf://{REPO} cannot be fetched: ")
    assert str(status) in message


def test_a_hub_out_of_reach_is_reported_in_one_line_that_names_the_source(tmp_path: Path) -> None:
    with hub({}) as gone:
        pass
    message = refusal(gone.environment(tmp_path), f"hf://{REPO}", tmp_path / "destination")
    assert message.startswith(f"hf://{REPO} cannot be fetched: ")
