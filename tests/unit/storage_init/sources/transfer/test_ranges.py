"""Downloads in blocks: whatever breaks off, what arrives is what was sent."""

from __future__ import annotations

import random
import resource
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage_init.base.errors import SourceError
from storage_init.sources.transfer import ranges
from storage_init.sources.transfer.ranges import PARTS, download
from storage_init.sources.transfer.remote import RemoteFile
from tests.unit.storage_init.fakes import read_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BLOCK = 1000


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "BLOCK_BYTES", BLOCK)
    monkeypatch.setattr(ranges, "NOTE_BYTES", 3 * BLOCK)


class Server:
    """Content that is read in chunks and breaks off where ``cuts`` say, one for each read."""

    def __init__(self, content: dict[str, bytes], cuts: Sequence[int] = (), chunk: int = 170):
        self.content, self.cuts, self.chunk = content, list(cuts), chunk
        self.sent = 0

    def read(self, file: RemoteFile, start: int, end: int) -> Iterator[bytes]:
        part = self.content[file.path][start:end]
        cut = self.cuts.pop(0) if self.cuts else len(part)
        for at in range(0, min(cut, len(part)), self.chunk):
            chunk = part[at : min(at + self.chunk, cut)]
            self.sent += len(chunk)
            yield chunk
        if cut < len(part):
            raise ConnectionError("cut")

    def files(self) -> list[RemoteFile]:
        return [RemoteFile(path, len(self.content[path]), tag="1") for path in self.content]


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def arrived(folder: Path) -> dict[str, bytes]:
    found = read_files(folder).items()
    return {path: content for path, content in found if not path.startswith(PARTS)}


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4500), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, BLOCK), max_size=12),
)
def test_no_byte_is_read_twice_after_broken_connections(sizes: list[int], cuts: list[int]) -> None:
    server = Server({f"f{n}/x": noise(size, n) for n, size in enumerate(sizes)}, cuts)
    with tempfile.TemporaryDirectory() as name:
        while True:
            try:
                # The caller does not ask for whole files again.
                missing = [f for f in server.files() if not (Path(name) / f.path).exists()]
                download(missing, Path(name), server.read)
                break
            except ConnectionError:
                continue
        assert arrived(Path(name)) == server.content
        assert list((Path(name) / PARTS).iterdir()) == []
    assert server.sent == sum(sizes)


def test_a_file_with_another_tag_starts_over(tmp_path: Path) -> None:
    server = Server({"a": noise(5000)}, cuts=[500, 500, 500, 500, 500])
    with pytest.raises(ConnectionError):
        download(server.files(), tmp_path, server.read)
    assert arrived(tmp_path) == {}
    server.content["a"] = noise(5000, seed=1)
    server.cuts.clear()
    download([RemoteFile("a", 5000, tag="2")], tmp_path, server.read)
    assert arrived(tmp_path) == server.content


@pytest.mark.parametrize(
    "note", [b"", b"[1]", b'{"0":5000}', b'{"0":-1}', b'{"7":10}', b'{"0":1001}']
)
def test_a_note_that_cannot_be_true_is_ignored(tmp_path: Path, note: bytes) -> None:
    server = Server({"a": noise(3000)}, cuts=[500, 500, 500])
    with pytest.raises(ConnectionError):
        download(server.files(), tmp_path, server.read)
    (path,) = (tmp_path / PARTS).glob("*.json")
    path.write_bytes(note)
    server.cuts.clear()
    download(server.files(), tmp_path, server.read)
    assert arrived(tmp_path) == server.content


def test_a_killed_process_loses_at_most_the_bytes_since_its_last_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Ends the process without cleaning up."""

    server = Server({"a": noise(20 * BLOCK)})
    original = server.read

    def read(file: RemoteFile, start: int, end: int) -> Iterator[bytes]:
        if start >= 15 * BLOCK:
            raise Killed
        yield from original(file, start, end)

    monkeypatch.setattr(ranges, "CONNECTIONS", 1)
    with monkeypatch.context() as killed, pytest.raises(Killed):
        killed.setattr(ranges._Part, "close", lambda _: None)
        download(server.files(), tmp_path, read)
    assert server.sent == 15 * BLOCK
    download(server.files(), tmp_path, server.read)
    assert arrived(tmp_path) == server.content
    assert server.sent <= 20 * BLOCK + ranges.NOTE_BYTES


def test_without_ranges_a_file_starts_over(tmp_path: Path) -> None:
    server = Server({"a": noise(5000)}, cuts=[4000, 4999])
    (file,) = server.files()
    for _ in range(2):
        with pytest.raises(ConnectionError):
            download([replace(file, ranges=False)], tmp_path, server.read)
    download([replace(file, ranges=False)], tmp_path, server.read)
    assert arrived(tmp_path) == server.content
    assert server.sent == 4000 + 4999 + 5000


@pytest.mark.parametrize(
    ("sent", "error", "why"),
    [
        (101, SourceError, "the server sends more of a than was asked"),
        (40, ConnectionError, "broke off in a at byte 40"),
    ],
)
def test_an_answer_of_another_length_is_an_error(
    tmp_path: Path, sent: int, error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        download([RemoteFile("a", 100)], tmp_path, lambda *_: iter([bytes(sent)]))
    assert arrived(tmp_path) == {}


def test_the_first_error_stops_the_other_blocks_soon(tmp_path: Path) -> None:
    server = Server({"a": noise(400 * BLOCK)}, cuts=[1000, 0])
    with pytest.raises(ConnectionError):
        download(server.files(), tmp_path, server.read)
    assert server.sent < 200 * BLOCK


def test_a_source_may_have_more_files_than_a_process_may_open(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    server = Server({f"{n}.json": b"{}" for n in range(300)})
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        download(server.files(), tmp_path, server.read)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert arrived(tmp_path) == server.content


def test_a_process_killed_before_the_rename_leaves_nothing_to_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server({"a": noise(5 * BLOCK)})
    with monkeypatch.context() as killed:
        killed.setattr(ranges._Part, "_settle", lambda _: None)
        download(server.files(), tmp_path, server.read)
    assert arrived(tmp_path) == {}
    download(server.files(), tmp_path, server.read)
    assert arrived(tmp_path) == server.content
    assert server.sent == 5 * BLOCK
    assert list((tmp_path / PARTS).iterdir()) == []
