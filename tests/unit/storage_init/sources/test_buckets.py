"""``s3://`` and ``gs://`` sources against stubs that can be hostile.

``tests/integration/sources/test_s3.py`` has a real server that checks signatures.
"""

from __future__ import annotations

import random
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from storage_init import sources
from storage_init.base.errors import SourceError
from storage_init.base.files import list_files
from storage_init.sources.kserve import s3_arguments
from storage_init.sources.transfer import ranges
from tests.support.servers import gcs, s3, seaweed
from tests.support.servers.web import Answer, Request, Web
from tests.unit.storage_init.fakes import read_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MODEL = {
    "config.json": b"{}",
    "1_Pooling/config.json": b'{"pooling_mode": "cls"}',
    "model.safetensors": random.Random(0).randbytes(300_000),
    "vocab.txt": b"",
}
OTHERS = {"pytorch_model.bin": b"a pickle", "onnx/model.onnx": b"a copy", ".gitattributes": b"x"}
STUBS = {
    "s3": (s3.s3_stub, seaweed.environment, f"/{seaweed.BUCKET}/"),
    "gs": (gcs.gcs_stub, gcs.environment, gcs.READ),
}


@dataclass
class Bucket:
    """A served bucket; ``model`` is a prefix with a model."""

    scheme: str
    server: Web
    place: str

    @property
    def model(self) -> str:
        return f"{self.scheme}://models/model"

    def put(self, key: str, content: bytes) -> None:
        self.server.files[self.place + key] = content

    def sent(self, key: str) -> int:
        return self.server.sent[self.place + key]

    def before_weights(self, action: Callable[[], None]) -> None:
        """Call ``action`` when a client asks for the model's weights."""
        given = self.server.answer

        def answer(request: Request) -> Answer | None:
            if request.path == f"{self.place}model/model.safetensors":
                action()
            return given(request)

        self.server.answer = answer


@pytest.fixture(params=STUBS)
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    serve, environment, place = STUBS[request.param]
    with ExitStack() as stack:
        server = stack.enter_context(serve({f"model/{key}": MODEL[key] for key in MODEL}))
        for name, value in environment(server.url).items():
            monkeypatch.setenv(name, value)
        yield Bucket(request.param, server, place)


def fetch(uri: str, destination: Path) -> dict[str, bytes]:
    sources.fetch(sources.resolve(uri), destination)
    return read_files(destination)


@pytest.mark.parametrize("end", ["", "/"])
def test_a_prefix_brings_the_needed_files_below_it(
    bucket: Bucket, end: str, tmp_path: Path
) -> None:
    neighbours = {"model-v2/config.json": b"v2", "modelconfig.json": b"x", "models/x.txt": b"x"}
    markers = {"model/": b"", "model/sub/": b""}
    others = {f"model/{path}": content for path, content in OTHERS.items()}
    for key, content in (neighbours | markers | others).items():
        bucket.put(key, content)
    assert fetch(bucket.model + end, tmp_path / "d") == MODEL
    assert sum(bucket.sent(key) for key in others) == 0


@pytest.mark.parametrize(
    ("uri", "arrived"),
    [("models/a/model.onnx", "model.onnx"), ("models/a", "model.onnx"), ("models", "a/model.onnx")],
)
def test_an_object_a_prefix_or_a_bucket_may_be_a_model(
    bucket: Bucket, uri: str, arrived: str, tmp_path: Path
) -> None:
    bucket.server.files.clear()
    bucket.put("a/model.onnx", b"graph")
    assert fetch(f"{bucket.scheme}://{uri}", tmp_path / "d") == {arrived: b"graph"}


@pytest.mark.parametrize("key", ["../evil.json", "/etc/evil.json", "evil\n.json", ".fetch/x.json"])
def test_a_listing_with_a_hostile_key_is_refused_by_name(
    bucket: Bucket, key: str, tmp_path: Path
) -> None:
    bucket.put(f"model/{key}", b"{}")
    with pytest.raises(SourceError, match="is refused") as caught:
        fetch(bucket.model, tmp_path / "deep" / "destination")
    assert repr(key) in str(caught.value)
    assert list_files(tmp_path) == set()


def test_a_model_that_changed_since_it_was_resolved_is_refused(
    bucket: Bucket, tmp_path: Path
) -> None:
    source = sources.resolve(bucket.model)
    assert sources.resolve(bucket.model) == source
    bucket.put("model/config.json", b"[]")
    assert sources.resolve(bucket.model).revision != source.revision
    with pytest.raises(SourceError, match=f"{bucket.model} has changed since it was resolved"):
        sources.fetch(source, tmp_path / "d")
    assert list_files(tmp_path) == set()


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("model/model.safetensors", "model.safetensors was replaced: start again"),
        ("model/added.json", "has changed since it was resolved: start again"),
    ],
)
def test_an_object_that_changes_during_a_fetch_is_never_mixed_in(
    bucket: Bucket, key: str, why: str, tmp_path: Path
) -> None:
    source = sources.resolve(bucket.model)
    bucket.before_weights(lambda: bucket.put(key, b"others"))
    with pytest.raises(SourceError, match=why):
        sources.fetch(source, tmp_path / "d")
    assert [path.name for path in (tmp_path / "d").iterdir()] == [".fetch"]


def test_the_next_process_continues_where_one_gave_up(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "BLOCK_BYTES", 100_000)
    monkeypatch.setenv("WARMSTART_RETRIES", "0")
    source = sources.resolve(bucket.model)
    bucket.server.cut_short[f"{bucket.place}model/model.safetensors"] = [100_000, 50_000, 100_000]
    with pytest.raises(SourceError, match="cannot be fetched"):
        sources.fetch(source, tmp_path / "d")
    sources.fetch(source, tmp_path / "d")
    assert read_files(tmp_path / "d") == MODEL
    # Google's client returns whole blocks only.
    again = 50_000 if bucket.scheme == "gs" else 0
    assert bucket.sent("model/model.safetensors") == len(MODEL["model.safetensors"]) + again
    assert bucket.sent("model/config.json") == 2


def test_a_failing_server_is_asked_again(bucket: Bucket, tmp_path: Path) -> None:
    given, failures_left = bucket.server.answer, [500, 503, 429]

    def fail(request: Request) -> Answer | None:
        return Answer(failures_left.pop()) if failures_left else given(request)

    bucket.server.answer = fail
    assert fetch(bucket.model, tmp_path / "d") == MODEL


@pytest.mark.parametrize(("status", "reason"), [(403, "access is refused"), (404, "nothing there")])
def test_a_refusal_is_final(bucket: Bucket, status: int, reason: str) -> None:
    bucket.server.answer = lambda _: Answer(status)
    with pytest.raises(SourceError, match=f"{bucket.model} cannot be fetched: .*{reason}"):
        sources.resolve(bucket.model)
    assert len(bucket.server.requests) == 1


def test_an_empty_prefix_is_named(bucket: Bucket) -> None:
    uri = f"{bucket.scheme}://models/mode"
    with pytest.raises(SourceError, match=f"{uri}: there is nothing of that name in the bucket"):
        sources.resolve(uri)


@pytest.mark.parametrize("scheme", STUBS)
@pytest.mark.parametrize("rest", ["", "/key", "b", "-bucket/key", "a b/key"])
def test_another_form_is_refused(scheme: str, rest: str) -> None:
    with pytest.raises(SourceError, match=rf"is not of the form {scheme}://bucket/prefix"):
        sources.resolve(f"{scheme}://{rest}")


def test_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(SourceError, match=r"s3://models/m cannot be fetched: NoCredentialsError"):
        sources.resolve("s3://models/m")


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_kserves_storage_spec_overrides_the_variables(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "replaced by the storage spec")
    monkeypatch.setenv(
        "STORAGE_CONFIG",
        f'{{"type": "s3", "endpoint_url": "{bucket.server.url}", "access_key_id": "a", '
        '"secret_access_key": "b", "region": "eu-central-1"}',
    )
    assert fetch(bucket.model, tmp_path / "d") == MODEL
    assert "/eu-central-1/s3/" in bucket.server.requests[0].headers["Authorization"]
    assert s3_arguments()["endpoint_url"] == bucket.server.url


def test_a_storage_spec_that_is_not_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_CONFIG", "{")
    with pytest.raises(SourceError, match="STORAGE_CONFIG is not valid"):
        sources.resolve("s3://models/m")
