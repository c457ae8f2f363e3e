"""``s3://`` and ``gs://`` sources against stubs that can be hostile.

A real server that checks signatures is in ``tests/integration/sources/test_s3.py``.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from storage_init import sources
from storage_init.base.errors import SourceError
from storage_init.format.verify import list_files
from storage_init.sources.kserve import s3_arguments
from storage_init.sources.transfer import failures, ranges
from tests.support.servers import gcs, s3, seaweed
from tests.support.servers.web import Answer, Request, Web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

MODEL = {
    "config.json": b"{}",
    "1_Pooling/config.json": b'{"pooling_mode": "cls"}',
    "model.safetensors": random.Random(0).randbytes(300_000),
    "vocab.txt": b"",
}
OTHERS = {"pytorch_model.bin": b"a pickle", "onnx/model.onnx": b"a copy", ".gitattributes": b"x"}


@dataclass(frozen=True)
class Store:
    """A kind of object store, and how a test reaches into it."""

    scheme: str
    serve: Callable[[Mapping[str, bytes]], AbstractContextManager[Web]]
    environment: Callable[[str], dict[str, str]]
    place: str


STORES = [
    Store("s3", s3.s3_stub, seaweed.environment, f"/{seaweed.BUCKET}/"),
    Store("gs", gcs.gcs_stub, gcs.environment, gcs.READ),
]


@pytest.fixture(params=STORES, ids=lambda store: store.scheme)
def kind(request: pytest.FixtureRequest) -> Store:
    store: Store = request.param
    return store


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_WAIT_SECONDS", 0.01)
    for name in ("STORAGE_CONFIG", "STORAGE_OVERRIDE_CONFIG", "CA_BUNDLE_CONFIGMAP_NAME"):
        monkeypatch.delenv(name, raising=False)


def below(folder: str, files: Mapping[str, bytes] = MODEL) -> dict[str, bytes]:
    return {f"{folder}/{path}": content for path, content in files.items()}


@contextmanager
def serving(
    kind: Store, objects: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Web]:
    with kind.serve(objects) as server:
        for name, value in kind.environment(server.url).items():
            monkeypatch.setenv(name, value)
        yield server


def contents(folder: Path) -> dict[str, bytes]:
    return {path: (folder / path).read_bytes() for path in list_files(folder)}


def get(uri: str, destination: Path) -> dict[str, bytes]:
    sources.fetch(sources.resolve(uri), destination)
    return contents(destination)


@pytest.mark.parametrize("end", ["", "/"])
def test_the_needed_files_below_a_prefix_arrive_and_nothing_else(
    kind: Store, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = below("a/model", MODEL | OTHERS) | {"a/model/": b"", "a/model/sub/": b""}
    with serving(kind, objects, monkeypatch) as server:
        assert get(f"{kind.scheme}://models/a/model{end}", tmp_path / "d") == MODEL
        read = {path.removeprefix(f"{kind.place}a/model/") for path in +server.sent if path}
    assert read == {path for path, content in MODEL.items() if content}


def test_a_prefix_does_not_bring_its_neighbours(
    kind: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = {"model-v2/config.json": b"other", "modelconfig.json": b"other", "models/x.txt": b"x"}
    with serving(kind, below("model") | others, monkeypatch):
        assert get(f"{kind.scheme}://models/model", tmp_path / "d") == MODEL


def test_a_whole_bucket_may_be_a_model(
    kind: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(kind, MODEL, monkeypatch):
        assert get(f"{kind.scheme}://models", tmp_path / "d") == MODEL


def test_the_key_of_one_object_brings_it(
    kind: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = {"a/model.onnx": b"graph", "a/model.onnx.data": b"weights"}
    with serving(kind, objects, monkeypatch):
        assert get(f"{kind.scheme}://models/a/model.onnx", tmp_path / "d") == {
            "model.onnx": b"graph"
        }


@pytest.mark.parametrize(
    "key",
    [
        *("../evil.json", "a/../../evil.json", "/etc/evil.json", "a//evil.json", "./evil.json"),
        *("..\\evil.json", "evil\n.json", "evil\x7f.json", "evil\u202e.json"),
        *(".fetch/evil.json", ".incoming/evil.json", "a/" + "n" * 256 + ".json"),
    ],
)
def test_a_listing_with_a_hostile_key_is_refused_by_name(
    kind: Store, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = tmp_path / "deep" / "destination"
    with serving(kind, below("model") | {f"model/{key}": b"{}"}, monkeypatch) as server:
        with pytest.raises(SourceError) as caught:
            get(f"{kind.scheme}://models/model", destination)
        assert not any(server.sent[path] for path in server.files)
    assert repr(key) in str(caught.value)
    assert "is refused" in str(caught.value)
    assert list_files(tmp_path) == set()


def test_the_revision_is_that_of_the_listing(kind: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"{kind.scheme}://models/model"
    with serving(kind, below("model"), monkeypatch) as server:
        before = sources.resolve(uri).revision
        assert sources.resolve(uri).revision == before
        server.files[f"{kind.place}model/config.json"] = b"[]"
        assert sources.resolve(uri).revision != before


def test_an_object_replaced_since_it_was_resolved_is_refused(
    kind: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"{kind.scheme}://models/model"
    with serving(kind, below("model"), monkeypatch) as server:
        source = sources.resolve(uri)
        server.files[f"{kind.place}model/config.json"] = b"[]"
        with pytest.raises(SourceError, match=f"{uri} has changed since it was resolved"):
            sources.fetch(source, tmp_path / "d")
    assert list_files(tmp_path) == set()


def test_an_object_replaced_while_others_arrive_is_never_mixed_in(
    kind: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, path = f"{kind.scheme}://models/model", f"{kind.place}model/model.safetensors"
    with serving(kind, below("model"), monkeypatch) as server:
        source = sources.resolve(uri)
        given = server.answer

        def replace(request: Request) -> Answer | None:
            if request.path == path:
                server.files[path] = b"others"
            return given(request)

        server.answer = replace
        with pytest.raises(SourceError, match=r"model.safetensors was replaced: start again"):
            sources.fetch(source, tmp_path / "d")
    assert [p.name for p in (tmp_path / "d").iterdir()] == [".fetch"]


def test_an_object_added_while_others_arrive_is_noticed(
    kind: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, path = f"{kind.scheme}://models/model", f"{kind.place}model/model.safetensors"
    with serving(kind, below("model"), monkeypatch) as server:
        source = sources.resolve(uri)
        given = server.answer

        def add(request: Request) -> Answer | None:
            if request.path == path:
                server.files[f"{kind.place}model/added.json"] = b"{}"
            return given(request)

        server.answer = add
        with pytest.raises(SourceError, match="has changed since it was resolved"):
            sources.fetch(source, tmp_path / "d")


def test_a_broken_connection_is_taken_up_where_it_broke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/{seaweed.BUCKET}/model/model.safetensors"
    with serving(STORES[0], below("model"), monkeypatch) as server:
        server.cut_short[path] = [random.Random(1).randrange(1, 300_000), 1]
        assert get("s3://models/model", tmp_path / "d") == MODEL
        assert server.sent[path] == len(MODEL["model.safetensors"])


def test_the_next_process_goes_on_where_one_gave_up(
    kind: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{kind.place}model/model.safetensors"
    monkeypatch.setattr(ranges, "BLOCK_BYTES", 100_000)
    monkeypatch.setenv("WARMSTART_RETRIES", "0")
    with serving(kind, below("model"), monkeypatch) as server:
        source = sources.resolve(f"{kind.scheme}://models/model")
        server.cut_short[path] = [100_000, 50_000, 100_000]
        with pytest.raises(SourceError, match="cannot be fetched"):
            sources.fetch(source, tmp_path / "d")
        assert sorted(p.name for p in (tmp_path / "d").iterdir()) == [".fetch"]
        config = server.sent[f"{kind.place}model/config.json"]
        sources.fetch(source, tmp_path / "d")
        assert contents(tmp_path / "d") == MODEL
        # GCS's client gives a block as a whole or not at all.
        again = 50_000 if kind.scheme == "gs" else 0
        assert server.sent[path] == len(MODEL["model.safetensors"]) + again
        assert server.sent[f"{kind.place}model/config.json"] == config == 2


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_with_a_hiccup_is_asked_again(
    kind: Store, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(kind, below("model"), monkeypatch) as server:
        given, failures_left = server.answer, [1, 1, 1]

        def hiccup(request: Request) -> Answer | None:
            return Answer(status) if failures_left and failures_left.pop() else given(request)

        server.answer = hiccup
        assert get(f"{kind.scheme}://models/model", tmp_path / "d") == MODEL


@pytest.mark.parametrize(("status", "reason"), [(403, "access is refused"), (404, "nothing there")])
def test_a_refusal_is_final(
    kind: Store, status: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"{kind.scheme}://models/model"
    with serving(kind, {}, monkeypatch) as server:
        server.answer = lambda _: Answer(status)
        with pytest.raises(SourceError, match=f"{uri} cannot be fetched: .*{reason}"):
            sources.resolve(uri)
        assert len(server.requests) == 1


def test_nothing_below_a_prefix_is_said(kind: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"{kind.scheme}://models/mode"
    nothing = pytest.raises(SourceError, match=f"{uri}: there is nothing of that name")
    with serving(kind, below("model"), monkeypatch), nothing:
        sources.resolve(uri)


@pytest.mark.parametrize("rest", ["", "/key", "b", "-bucket/key", "a b/key"])
def test_another_form_is_refused(kind: Store, rest: str) -> None:
    uri = f"{kind.scheme}://{rest}"
    with pytest.raises(SourceError, match=r"is not of the form (s3|gs)://bucket/prefix"):
        sources.resolve(uri)


def test_without_credentials_the_error_says_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(SourceError, match=r"s3://models/m cannot be fetched: NoCredentialsError"):
        sources.resolve("s3://models/m")


def test_kserves_storage_spec_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with s3.s3_stub(below("model")) as server:
        for name in seaweed.environment(server.url):
            monkeypatch.setenv(name, "replaced by the storage spec")
        monkeypatch.setenv("S3_MAX_ATTEMPTS", "1")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv(
            "STORAGE_CONFIG",
            f'{{"type": "s3", "endpoint_url": "{server.url}", "access_key_id": "a", '
            '"secret_access_key": "b", "region": "eu-central-1"}',
        )
        assert get("s3://models/model", tmp_path / "d") == MODEL
        assert "/eu-central-1/s3/" in server.requests[0].headers["Authorization"]
    assert s3_arguments()["endpoint_url"] == server.url


def test_a_storage_spec_that_is_no_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_CONFIG", "{")
    with pytest.raises(SourceError, match="STORAGE_CONFIG is not valid"):
        sources.resolve("s3://models/m")
