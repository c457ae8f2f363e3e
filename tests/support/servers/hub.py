"""A Hugging Face Hub for tests: the few routes that huggingface-hub downloads a model by.

Repositories are folders; every state that was pushed stays available under its commit.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from storage_init.base.hashing import sha256_file, sha256_files
from storage_init.format.verify import list_files
from tests.support.servers.serving import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

COMMIT_LENGTH = 40
API = re.compile(r"/api/models/([^/]+/[^/]+?)(?:/(revision|tree)/([^/]+))?")
# What a new repository's .gitattributes puts into large file storage.
LARGE = re.compile(r".*\.(safetensors|onnx|onnx_data|data|bin|pt|npz)")
FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


@dataclass(frozen=True)
class Request:
    """What a client asked for; ``file`` is the path in its repository, empty for metadata."""

    method: str
    path: str
    file: str
    range: str | None
    authorization: str | None


@dataclass
class Hub:
    """A running hub.

    ``requests`` grows with every request. ``before_answer`` is called with each; a status that it
    returns is answered instead. ``cut_short`` holds files, as paths in their repository, whose
    answers break off after that many bytes. ``sent`` counts the bytes of content of each file.
    """

    url: str
    requests: list[Request] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    before_answer: Callable[[Request], int | None] = lambda _: None
    cut_short: dict[str, int] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)
    _commits: dict[tuple[str, str], Path] = field(default_factory=dict)
    _revisions: dict[tuple[str, str], str] = field(default_factory=dict)

    def push(self, repo: str, folder: Path, revision: str = "main") -> str:
        """Point a branch or tag at a folder, which must not change from now on; its commit."""
        commit = sha256_files(folder, list_files(folder))[:COMMIT_LENGTH]
        self._commits[repo, commit] = folder
        self._revisions[repo, revision] = commit
        return commit

    def commit(self, repo: str, revision: str = "main") -> str:
        return self._revisions[repo, revision]

    def downloads(self) -> set[str]:
        """Files whose content was asked for."""
        return {r.file for r in self.requests if r.method == "GET" and r.file}

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """For a process that is to use this hub, and nothing of the user's own settings."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
        settings = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1"}
        return inherited | settings | ({"HF_TOKEN": token} if token else {})

    def find(self, repo: str, revision: str) -> tuple[str, Path]:
        """The commit and folder of a revision.

        Raises:
            Refusal: there is none.
        """
        if repo not in {known for known, _ in self._commits}:
            raise Refusal(HTTPStatus.NOT_FOUND, "RepoNotFound")
        commit = self._revisions.get((repo, revision), revision)
        if (repo, commit) not in self._commits:
            raise Refusal(HTTPStatus.NOT_FOUND, "RevisionNotFound")
        return commit, self._commits[repo, commit]


class Refusal(Exception):  # noqa: N818 - an answer, not an error
    """An answer without content; ``code`` is the Hub's own name for the reason."""

    def __init__(self, status: int, code: str = "") -> None:
        self.status = status
        self.code = code


@contextmanager
def hub(
    repositories: Mapping[str, Path], *, gated: Mapping[str, str] | None = None
) -> Iterator[Hub]:
    """Serve folders as the main branches of repositories.

    ``gated``: the token that the files of a repository need.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    running = Hub(f"http://127.0.0.1:{server.server_port}", tokens=dict(gated or {}))
    server.hub = running  # type: ignore[attr-defined]
    for repo, folder in repositories.items():
        running.push(repo, folder)
    with serving(server):
        yield running


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Nothing: ``Hub.requests`` is the log."""

    @property
    def hub(self) -> Hub:
        running: Hub = self.server.hub  # type: ignore[attr-defined]
        return running

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        file, api = FILE.fullmatch(path), API.fullmatch(path)
        request = Request(
            method=self.command,
            path=unquote(path),
            file=unquote(file[3]) if file else "",
            range=self.headers["Range"],
            authorization=self.headers["Authorization"],
        )
        self.hub.requests.append(request)
        try:
            if status := self.hub.before_answer(request):
                raise Refusal(status)
            if file:
                self._send_file(file[1], unquote(file[2]), request)
            elif api:
                self._send_metadata(api[1], api[2] or "revision", unquote(api[3] or "main"))
            else:
                raise Refusal(HTTPStatus.NOT_FOUND)
        except Refusal as refusal:
            self._send(refusal.status, b"", {"X-Error-Code": refusal.code} if refusal.code else {})

    def _send_metadata(self, repo: str, kind: str, revision: str) -> None:
        commit, folder = self.hub.find(repo, revision)
        paths = sorted(list_files(folder))
        document: object
        if kind == "tree":
            document = [_described(folder, path) for path in paths]
        else:
            siblings = [{"rfilename": path} for path in paths]
            document = {"id": repo, "modelId": repo, "sha": commit, "siblings": siblings}
        content = json.dumps(document).encode()
        self._send(HTTPStatus.OK, content, {"Content-Type": "application/json"})

    def _send_file(self, repo: str, revision: str, request: Request) -> None:
        commit, folder = self.hub.find(repo, revision)
        token = self.hub.tokens.get(repo)
        if token and request.authorization != f"Bearer {token}":
            # The Hub's answer to a stranger, and to somebody who has not accepted the terms.
            known = request.authorization is not None
            raise Refusal(HTTPStatus.FORBIDDEN if known else HTTPStatus.UNAUTHORIZED, "GatedRepo")
        if request.file not in list_files(folder):
            raise Refusal(HTTPStatus.NOT_FOUND, "EntryNotFound")
        path = folder / request.file
        content = path.read_bytes()
        headers = {
            "ETag": f'"{_etag(path)}"',
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
        }
        status, size = HTTPStatus.OK, len(content)
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", request.range or ""):
            first, last = int(asked[1]), min(int(asked[2] or size), size - 1)
            if first >= size:
                headers["Content-Range"] = f"bytes */{size}"
                self._send(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", headers)
                return
            status, content = HTTPStatus.PARTIAL_CONTENT, content[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        cut = self.hub.cut_short.get(request.file)
        if self.command != "HEAD":
            self.hub.sent[request.file] += len(content[:cut])
        self._send(status, content, headers, cut)

    def _send(
        self, status: int, content: bytes, headers: Mapping[str, str], cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:cut])
            self.close_connection = self.close_connection or cut is not None


def _described(folder: Path, path: str) -> dict[str, object]:
    """A file as the Hub lists it: large ones with the digest of their content."""
    size = (folder / path).stat().st_size
    entry: dict[str, object] = {"type": "file", "size": size, "path": path}
    if LARGE.fullmatch(path):
        digest = sha256_file(folder / path)
        entry["lfs"] = {"oid": digest, "size": size, "pointerSize": 134}
        return entry | {"oid": digest[:COMMIT_LENGTH]}
    return entry | {"oid": _etag(folder / path)}


def _etag(path: Path) -> str:
    """SHA-256 of a large file, the SHA-1 that git gives any other."""
    if LARGE.fullmatch(path.name):
        return sha256_file(path)
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
