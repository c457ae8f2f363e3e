"""``hf://`` sources against a local hub, through huggingface-hub as it is installed."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from storage_init.base.files import list_files
from storage_init.format.package import Source
from tests.support.servers.hub import Hub, Request, hub
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
from storage_init.base.errors import SourceError
from storage_init.format.package import Source
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
    environment = server.environment(tmp_path) | {"WARMSTART_RETRIES": "1"}
    message = refusal(environment, f"hf://{REPO}", tmp_path / "destination")
    assert message == f"hf://{REPO} cannot be fetched: the server answers {status}"
    assert len(server.requests) == 2


def test_a_hub_out_of_reach_is_reported_in_one_line_that_names_the_source(tmp_path: Path) -> None:
    with hub({}) as gone:
        pass
    environment = gone.environment(tmp_path) | {"WARMSTART_RETRIES": "0"}
    message = refusal(environment, f"hf://{REPO}", tmp_path / "destination")
    assert message.startswith(f"hf://{REPO} cannot be fetched: ConnectionRefusedError: ")


def test_a_hub_with_a_hiccup_is_asked_again(server: Hub, tmp_path: Path) -> None:
    left = [503, 429]
    server.before_answer = lambda _: left.pop() if left else None
    done = run(
        server.environment(tmp_path), "-m", "storage_init", f"hf://{REPO}", str(tmp_path / "d")
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(" trying again ") == 2


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_final(server: Hub, tmp_path: Path, status: int) -> None:
    server.before_answer = lambda request: status if request.file == "config.json" else None
    message = refusal(server.environment(tmp_path), f"hf://{REPO}", tmp_path / "destination")
    assert str(status) in message
    asked = [request for request in server.requests if request.file == "config.json"]
    assert [request.method for request in asked] == ["HEAD"]


WEIGHTS = "model.safetensors"


# What huggingface-hub has read of a chunk when a connection breaks is lost.
CHUNK = 1 << 20
LARGE = {**NEEDED, WEIGHTS: random.Random(0).randbytes(5 * CHUNK)}


@pytest.fixture
def large(server: Hub, tmp_path: Path) -> Hub:
    server.push(REPO, write_files(tmp_path / "large", LARGE))
    return server


@pytest.mark.parametrize("seed", range(4))
def test_a_download_cut_at_random_bytes_goes_on_from_there(
    large: Hub, tmp_path: Path, seed: int
) -> None:
    cuts = [random.Random(seed).randrange(CHUNK, 2 * CHUNK) for _ in range(3)]

    def cut(request: Request) -> None:
        if request.method == "GET" and request.file == WEIGHTS:
            large.cut_short = {WEIGHTS: cuts.pop()} if cuts else {}

    large.before_answer = cut
    destination = tmp_path / "destination"
    done = run(large.environment(tmp_path), "-m", "storage_init", f"hf://{REPO}", str(destination))
    assert done.returncode == 0, done.stderr
    assert {path: (destination / path).read_bytes() for path in list_files(destination)} == LARGE
    assert large.sent[WEIGHTS] < len(LARGE[WEIGHTS]) + 3 * CHUNK
    assert large.sent["config.json"] == len(LARGE["config.json"])
    # The server counts it too: three answers of at least a chunk were not in vain.
    asked = [r.range for r in large.requests if r.method == "GET" and r.file == WEIGHTS]
    assert asked == [None, *(f"bytes={n * CHUNK}-" for n in (1, 2, 3))]


def test_the_next_process_fetches_only_what_the_one_before_did_not_finish(
    large: Hub, tmp_path: Path
) -> None:
    cut = random.Random(7).randrange(CHUNK, len(LARGE[WEIGHTS]))
    destination = tmp_path / "destination"
    source = resolve(large, tmp_path, f"hf://{REPO}")
    large.cut_short = {WEIGHTS: cut}
    # The client goes on by itself: the connection breaks, and then the hub refuses.
    asked: list[str] = []

    def refuse_the_rest(request: Request) -> int | None:
        if request.method == "GET":
            asked.append(request.file)
        return 403 if asked.count(WEIGHTS) > 1 else None

    large.before_answer = refuse_the_rest
    environment = large.environment(tmp_path) | {"WARMSTART_RETRIES": "0"}
    content = msgspec.json.encode(source).decode()
    done = run(environment, "-c", FETCH, content, str(destination))
    assert done.returncode == 1
    assert f"refused: hf://{REPO} cannot be fetched: " in done.stderr
    assert [path.name for path in destination.iterdir()] == [".fetch"]

    large.cut_short, large.before_answer = {}, lambda _: None
    done = fetch(large, tmp_path, source, destination)
    assert done.returncode == 0, done.stderr
    assert {path: (destination / path).read_bytes() for path in list_files(destination)} == LARGE
    # Of a file that was not finished, the client keeps nothing for another process.
    assert large.sent[WEIGHTS] < 2 * len(LARGE[WEIGHTS])
    assert large.sent["config.json"] == len(LARGE["config.json"])


def test_a_second_fetch_of_what_is_there_downloads_nothing(server: Hub, tmp_path: Path) -> None:
    source = resolve(server, tmp_path, f"hf://{REPO}")
    for _ in range(2):
        assert fetch(server, tmp_path, source, tmp_path / "destination").returncode == 0
    assert server.sent == {path: len(content) for path, content in NEEDED.items()}


def test_content_that_is_not_what_the_hub_says_is_refused_by_name(
    server: Hub, repository: Path, tmp_path: Path
) -> None:
    source = resolve(server, tmp_path, f"hf://{REPO}")

    def damage(request: Request) -> None:
        if request.method == "GET" and request.file == WEIGHTS:
            content = bytearray(NEEDED[WEIGHTS])
            content[1000] ^= 1
            (repository / WEIGHTS).write_bytes(content)

    server.before_answer = damage
    done = fetch(server, tmp_path, source, tmp_path / "destination")
    assert done.returncode == 1
    assert f"{WEIGHTS} does not have the digest sha256:" in done.stderr


@pytest.mark.parametrize("path", ["../../evil.json", "/etc/evil.json", "a\\evil.json"])
def test_a_hub_that_lists_a_hostile_name_is_refused(
    server: Hub, tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_evil(folder: Path) -> set[str]:
        return list_files(folder) | {path}

    monkeypatch.setattr("tests.support.servers.hub.list_files", with_evil)
    monkeypatch.setattr("tests.support.servers.hub._described", lambda _, name: described(name))
    message = refusal(server.environment(tmp_path), f"hf://{REPO}", tmp_path / "destination")
    assert message.startswith(f"hf://{REPO} is refused: its file {path!r} has ")
    assert server.downloads() == set()


def described(path: str) -> dict[str, object]:
    return {"type": "file", "size": 2, "path": path, "oid": "0" * 40}


def test_names_that_are_patterns_are_taken_as_they_are(server: Hub, tmp_path: Path) -> None:
    files = {"config[1].json": b"{}", "config1.json": b"[]", WEIGHTS: b"weights"}
    server.push(REPO, write_files(tmp_path / "odd", files))
    destination = tmp_path / "destination"
    source = resolve(server, tmp_path, f"hf://{REPO}")
    assert fetch(server, tmp_path, source, destination).returncode == 0
    assert {path: (destination / path).read_bytes() for path in list_files(destination)} == files
