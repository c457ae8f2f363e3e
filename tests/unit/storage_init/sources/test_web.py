"""``https://`` sources: revisions, ranges, redirects. ``tests/integration`` has TLS."""

from __future__ import annotations

import hashlib
import io
import random
import zipfile
from typing import TYPE_CHECKING

import pytest

from storage_init import sources
from storage_init.base.errors import DigestError, SourceError
from storage_init.base.files import list_files
from storage_init.sources.transfer import ranges
from tests.support.servers.web import Answer, Request, Web, md5, web
from tests.unit.storage_init.fakes import read_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WEIGHTS = random.Random(0).randbytes(300_000)
FILE = "/models/model.onnx"


@pytest.fixture
def server() -> Iterator[Web]:
    with web({FILE: WEIGHTS}) as running:
        yield running


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def get(uri: str, destination: Path) -> dict[str, bytes]:
    sources.fetch(sources.resolve(uri), destination)
    return read_files(destination)


def test_a_file_arrives_under_its_decoded_name(server: Web, tmp_path: Path) -> None:
    server.files["/a model.onnx"] = b"x"
    assert get(f"{server.url}/a%20model.onnx?token=a/b", tmp_path) == {"a model.onnx": b"x"}


@pytest.mark.parametrize("name", ["..%2f..%2fevil.onnx", "%2e%2e", "a%5cb.onnx", "a%0ab.onnx"])
def test_a_name_that_leaves_the_folder_is_refused(server: Web, name: str, tmp_path: Path) -> None:
    server.answer = lambda _: Answer(200, {}, b"evil")
    with pytest.raises(SourceError, match=r"is refused|nothing there|has no weights"):
        get(f"{server.url}/{name}", tmp_path / "a" / "b")
    assert list_files(tmp_path) == set()


def test_a_strong_etag_is_the_revision(server: Web, tmp_path: Path) -> None:
    source = sources.resolve(server.url + FILE)
    assert source.revision == f'etag:"{md5(WEIGHTS)}"'
    assert server.sent[FILE] == 1
    server.files[FILE] = b"others"
    with pytest.raises(SourceError, match="has changed since it was resolved: start again"):
        sources.fetch(source, tmp_path)


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_strong_etag_the_content_is_the_revision(
    server: Web, etag: str, tmp_path: Path
) -> None:
    server.etag = lambda _: etag
    source = sources.resolve(server.url + FILE)
    assert source.revision == f"sha256:{sha256(WEIGHTS)}"
    server.files[FILE] = bytes(len(WEIGHTS))
    with pytest.raises(DigestError, match=r"model.onnx does not have the digest sha256"):
        sources.fetch(source, tmp_path)
    assert not (tmp_path / "model.onnx").exists()
    server.files[FILE] = WEIGHTS
    sources.fetch(source, tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == WEIGHTS


def test_a_digest_in_the_uri_is_the_revision(server: Web, tmp_path: Path) -> None:
    uri = f"{server.url}{FILE}#sha256={sha256(WEIGHTS)}"
    assert sources.resolve(uri).revision == f"sha256:{sha256(WEIGHTS)}"
    assert server.requests == []
    assert get(uri, tmp_path) == {"model.onnx": WEIGHTS}


def test_the_next_process_continues_where_one_gave_up(
    server: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARMSTART_RETRIES", "0")
    source = sources.resolve(server.url + FILE)
    server.cut_short[FILE] = [123_456]
    with pytest.raises(SourceError, match="cannot be fetched: "):
        sources.fetch(source, tmp_path)
    server.sent.clear()
    sources.fetch(source, tmp_path)
    assert read_files(tmp_path) == {"model.onnx": WEIGHTS}
    assert server.sent[FILE] == len(WEIGHTS) - 123_456 + 1
    assert server.requests[-1].headers["If-Range"] == f'"{md5(WEIGHTS)}"'


def test_a_file_that_changes_while_it_is_fetched_is_never_mixed(
    server: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "BLOCK_BYTES", 100_000)
    source = sources.resolve(server.url + FILE)

    def change(request: Request) -> None:
        if request.headers["Range"] == "bytes=200000-299999":
            server.files[FILE] = bytes(300_000)

    server.answer = change
    with pytest.raises(SourceError, match="changed while it was being fetched: start again"):
        sources.fetch(source, tmp_path)
    assert not (tmp_path / "model.onnx").exists()


def test_a_server_without_ranges_sends_the_file_again(server: Web, tmp_path: Path) -> None:
    server.ranges = False
    server.cut_short[FILE] = [0, 1000]  # the first request only asks for the size
    assert get(server.url + FILE, tmp_path) == {"model.onnx": WEIGHTS}


@pytest.mark.parametrize("target", ["http://192.0.2.1/model.onnx", "ftp://127.0.0.1/model.onnx"])
def test_a_redirect_to_an_unencrypted_host_is_refused(server: Web, target: str) -> None:
    server.answer = lambda _: Answer(302, {"Location": target})
    with pytest.raises(SourceError, match=f"{target} is refused: use https://"):
        sources.resolve(server.url + FILE)


def test_endless_redirects_are_refused(server: Web) -> None:
    server.answer = lambda _: Answer(302, {"Location": FILE})
    with pytest.raises(SourceError, match="more than 5 redirects"):
        sources.resolve(server.url + FILE)


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.com/m.onnx", "http://127.0.0.1.example.com/m.onnx"),
        *("http://localhost.example.com/m.onnx", "http://10.0.0.1/m.onnx"),
    ],
)
def test_plain_http_works_only_with_this_machine(url: str) -> None:
    with pytest.raises(SourceError, match=f"{url} is refused: use https://, or set WARMSTART_ALLO"):
        sources.resolve(url)


def test_plain_http_may_be_allowed(server: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARMSTART_ALLOW_HTTP", "true")
    monkeypatch.setenv("http_proxy", server.url)
    server.answer = lambda request: Answer(200, {"ETag": '"a"'}, b"x") if request.path else None
    assert sources.resolve("http://models.example/m.onnx").revision == 'etag:"a"'


def test_a_redirect_is_followed_without_the_first_hosts_headers(
    server: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("127.0.0.1-headers", '{"Authorization": "Bearer secret", "X-Key": "k"}')
    with web({FILE: WEIGHTS}) as other:
        elsewhere = other.url.replace("127.0.0.1", "localhost")
        server.answer = lambda _: Answer(302, {"Location": f"{elsewhere}{FILE}"})
        assert get(server.url + FILE, tmp_path) == {"model.onnx": WEIGHTS}
        assert all(r.headers["Authorization"] == "Bearer secret" for r in server.requests)
        assert all(r.headers["X-Key"] == "k" for r in server.requests)
        assert not any({"Authorization", "X-Key"} & r.headers.keys() for r in other.requests)


def test_headers_that_are_not_json_are_named(server: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("127.0.0.1-headers", "[1]")
    with pytest.raises(SourceError, match=r"the variable 127.0.0.1-headers is not a JSON object"):
        sources.resolve(server.url + FILE)


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("https://", "is not of the form https://host/path"),
        ("https:///m.onnx", "is not of the form https://host/path"),
        ("https://user:secret@host/m.onnx", "credentials belong in"),
        ("https://host/m\n.onnx", "is not of the form"),
        ("https://host", "names no file"),
        ("https://host/folder/", "names no file"),
        ("https://host/m.onnx#sha256=123", "a # must be followed by sha256= and 64 hex digits"),
        ("https://host/m.onnx#", "a # must be followed by sha256= and 64 hex digits"),
    ],
)
def test_another_form_is_refused(uri: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        sources.resolve(uri)


@pytest.mark.parametrize(
    ("status", "reason", "requests"),
    [
        (401, "it asks for credentials", 1),
        (404, "there is nothing there", 1),
        (410, "the server answers 410", 1),
        (503, "the server answers 503", 3),
    ],
)
def test_only_a_failure_that_may_pass_is_tried_again(
    server: Web, status: int, reason: str, requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARMSTART_RETRIES", "2")
    server.answer = lambda _: Answer(status)
    with pytest.raises(SourceError, match=f"{FILE} cannot be fetched: {reason}"):
        sources.resolve(server.url + FILE)
    assert len(server.requests) == requests


def test_compressed_content_is_refused(server: Web) -> None:
    server.headers["Content-Encoding"] = "gzip"
    with pytest.raises(SourceError, match="sends only compressed content"):
        sources.resolve(server.url + FILE)


def test_content_without_a_size_is_refused(server: Web) -> None:
    server.answer = lambda _: Answer(206, {"Content-Range": "bytes 0-0/*"}, b"x")
    with pytest.raises(SourceError, match="the server does not state the file's size"):
        sources.resolve(server.url + FILE)


def test_the_needed_files_of_an_archive_arrive_and_an_archive_of_pickles_leaves_none(
    server: Web, tmp_path: Path
) -> None:
    def archive(files: dict[str, bytes]) -> bytes:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as file:
            for name, data in files.items():
                file.writestr(f"m-main/{name}", data)
        return content.getvalue()

    model = {"config.json": b"{}", "model.safetensors": WEIGHTS}
    others = {"pytorch_model.bin": b"a pickle", "run.py": b"raise SystemExit"}
    server.files["/m.zip"] = archive({"config.json": b"{}", **others})
    with pytest.raises(SourceError, match=r"m.zip has only pickled weights \(pytorch_model.bin\)"):
        get(f"{server.url}/m.zip", tmp_path)
    assert list(tmp_path.iterdir()) == []
    server.files["/m.zip"] = archive(model | others)
    server.cut_short["/m.zip"] = [5000]
    assert get(f"{server.url}/m.zip", tmp_path) == model
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(model)
