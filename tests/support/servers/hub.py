"""A Hugging Face Hub for tests: the routes that huggingface-hub downloads a model with.

Repositories are folders; every pushed folder stays available under its commit.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

from storage_init.base.files import list_files
from storage_init.base.hashing import sha256_file, sha256_files
from tests.support.servers.serving import Answer, Call, file_answer, json_answer, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

COMMIT_LENGTH = 40
API = re.compile(r"/api/models/([^/]+/[^/]+?)(?:/(revision|tree)/([^/]+))?")
# Files that a new repository's .gitattributes puts into large file storage.
LARGE = re.compile(r".*\.(safetensors|onnx|onnx_data|data|bin|pt|npz)")
FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


@dataclass(frozen=True)
class Request:
    """A request; ``file`` is the path in its repository, empty for metadata."""

    method: str
    path: str
    file: str
    range: str | None
    authorization: str | None


@dataclass
class Hub:
    """A running hub.

    Attributes:
        requests: every request so far.
        tokens: what the files of some repositories need.
        before_answer: is called with each request; a status that it returns is answered.
        cut_short: bytes after which answers with a file break off, by its path in its repository.
        sent: bytes of each file that were sent.
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
        """Point a branch or tag at a folder, which must not change any more; return its commit."""
        commit = sha256_files(folder, list_files(folder))[:COMMIT_LENGTH]
        self._commits[repo, commit] = folder
        self._revisions[repo, revision] = commit
        return commit

    def commit(self, repo: str, revision: str = "main") -> str:
        return self._revisions[repo, revision]

    def downloads(self) -> set[str]:
        """Return the files whose content was requested."""
        return {r.file for r in self.requests if r.method == "GET" and r.file}

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """The environment of a process that uses this hub and none of the user's settings."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
        settings = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1"}
        return inherited | settings | ({"HF_TOKEN": token} if token else {})

    def respond(self, call: Call) -> Answer:
        """Answer as the Hub does; a refusal names its reason in a header."""
        file, api = FILE.fullmatch(call.path), API.fullmatch(call.path)
        request = Request(
            method=call.method,
            path=unquote(call.path),
            file=unquote(file[3]) if file else "",
            range=call.headers.get("Range"),
            authorization=call.headers.get("Authorization"),
        )
        self.requests.append(request)
        if status := self.before_answer(request):
            return Answer(status)
        if file:
            return self._file(file[1], unquote(file[2]), request)
        if api:
            return self._metadata(api[1], api[2] or "revision", unquote(api[3] or "main"))
        return Answer(404)

    def _find(self, repo: str, revision: str) -> tuple[str, Path] | Answer:
        """The commit and folder of a revision, or the refusal where there is none."""
        if repo not in {known for known, _ in self._commits}:
            return _refusal(404, "RepoNotFound")
        commit = self._revisions.get((repo, revision), revision)
        if (repo, commit) not in self._commits:
            return _refusal(404, "RevisionNotFound")
        return commit, self._commits[repo, commit]

    def _metadata(self, repo: str, kind: str, revision: str) -> Answer:
        found = self._find(repo, revision)
        if isinstance(found, Answer):
            return found
        commit, folder = found
        paths = sorted(list_files(folder))
        if kind == "tree":
            return json_answer([_described(folder, path) for path in paths])
        siblings = [{"rfilename": path} for path in paths]
        return json_answer({"id": repo, "modelId": repo, "sha": commit, "siblings": siblings})

    def _file(self, repo: str, revision: str, request: Request) -> Answer:
        found = self._find(repo, revision)
        if isinstance(found, Answer):
            return found
        commit, folder = found
        token = self.tokens.get(repo)
        if token and request.authorization != f"Bearer {token}":
            # The Hub answers 401 to a stranger, 403 to a user who has not accepted the terms.
            return _refusal(403 if request.authorization else 401, "GatedRepo")
        if request.file not in list_files(folder):
            return _refusal(404, "EntryNotFound")
        path = folder / request.file
        headers = {
            "ETag": f'"{_etag(path)}"',
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
        }
        answer = file_answer(path.read_bytes(), headers, request.range)
        if answer.status < HTTPStatus.BAD_REQUEST:
            answer = replace(answer, cut=self.cut_short.get(request.file))
            if request.method != "HEAD":
                self.sent[request.file] += len(answer.content[: answer.cut])
        return answer


def _refusal(status: int, code: str) -> Answer:
    """An answer without content; ``code`` is the Hub's own name for the reason."""
    return Answer(status, {"X-Error-Code": code})


@contextmanager
def hub(
    repositories: Mapping[str, Path], *, gated: Mapping[str, str] | None = None
) -> Iterator[Hub]:
    """Serve folders as the main branches of repositories.

    Args:
        repositories: folders by the names of their repositories.
        gated: the tokens that the files of some repositories need.
    """
    with serve(lambda url: Hub(url, tokens=dict(gated or {}))) as running:
        for repo, folder in repositories.items():
            running.push(repo, folder)
        yield running


def _described(folder: Path, path: str) -> dict[str, object]:
    """Describe a file as the Hub lists it: a large one with the digest of its content."""
    size = (folder / path).stat().st_size
    entry: dict[str, object] = {"type": "file", "size": size, "path": path}
    if LARGE.fullmatch(path):
        digest = sha256_file(folder / path)
        entry["lfs"] = {"oid": digest, "size": size, "pointerSize": 134}
        return entry | {"oid": digest[:COMMIT_LENGTH]}
    return entry | {"oid": _etag(folder / path)}


def _etag(path: Path) -> str:
    """The SHA-256 of a large file, git's SHA-1 of any other."""
    if LARGE.fullmatch(path.name):
        return sha256_file(path)
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
