"""``hf://owner/name[@revision]``: a repository of the Hugging Face Hub, pinned to a commit.

huggingface-hub downloads, resumes and reads the credentials (``HF_ENDPOINT``, ``HF_TOKEN``).
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from storage_init.base.errors import SourceError
from storage_init.base.hashing import CHUNK_BYTES
from storage_init.base.uris import shown
from storage_init.format.package import Source
from storage_init.sources.transfer.remote import Remote, RemoteFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from huggingface_hub import HfApi

# KServe writes `:revision`, the Hub `@revision`.
URI = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:[@:](?P<revision>[\w./-]+))?")
COMMIT = re.compile(r"[0-9a-f]{40}")
CONNECTIONS = 8


def resolve(uri: str) -> Source:
    repo, revision = _parse(uri)
    if revision and COMMIT.fullmatch(revision):
        return Source(uri=uri, revision=revision)
    api = _api()
    with _readable_errors(uri):
        info = api.model_info(repo, revision=revision)
    return Source(uri=uri, revision=info.sha)


def connect(source: Source) -> Remote:
    repo, _ = _parse(source.uri)
    api = _api()
    with _readable_errors(source.uri):
        tree = list(api.list_repo_tree(repo, recursive=True, revision=source.revision))

    def download(files: Sequence[RemoteFile], folder: Path) -> None:
        # Not snapshot_download: it lists the repository again, takes names for patterns, and
        # accepts a half-filled folder if the Hub does not answer.
        def download_file(file: RemoteFile) -> None:
            api.hf_hub_download(repo, file.path, revision=source.revision, local_dir=folder)

        with ThreadPoolExecutor(CONNECTIONS) as pool, _readable_errors(source.uri):
            list(pool.map(download_file, files))

    return Remote([_file(entry) for entry in tree if hasattr(entry, "size")], download)


def _file(entry: Any) -> RemoteFile:
    lfs = entry.lfs
    digest = f"sha256:{lfs.sha256}" if lfs else f"git:{entry.blob_id}"
    return RemoteFile(path=entry.path, size=entry.size, tag=entry.blob_id, digest=digest)


def _parse(uri: str) -> tuple[str, str | None]:
    match = URI.fullmatch(uri)
    if match is None:
        raise SourceError(f"{shown(uri)} is not of the form hf://owner/name[@revision]")
    return match["repo"], match["revision"]


def _api() -> HfApi:
    try:
        from huggingface_hub import HfApi, constants
        from huggingface_hub.utils import disable_progress_bars
    except ImportError as error:
        raise SourceError("hf:// needs huggingface-hub: install warmstart[storage-init]") from error
    disable_progress_bars()
    # A broken connection loses a chunk. With the default of 10 MiB, a bad line makes no progress.
    constants.DOWNLOAD_CHUNK_SIZE = CHUNK_BYTES
    # To name its user's tools it would ask for a list of them, which mirrors do not have.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    return HfApi(library_name="warmstart")


@contextmanager
def _readable_errors(uri: str) -> Iterator[None]:
    """Turn huggingface-hub's exceptions that have a remedy into a sentence that names it."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise SourceError(f"{shown(uri)} is gated: accept its terms and set HF_TOKEN") from error
    except errors.RepositoryNotFoundError as error:
        raise SourceError(
            f"{shown(uri)}: no such repository, or a private one and HF_TOKEN is not set"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise SourceError(f"{shown(uri)}: the repository has no such revision") from error
    except errors.HFValidationError as error:
        raise SourceError(f"{shown(uri)} is not of the form hf://owner/name[@revision]") from error
