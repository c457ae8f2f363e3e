"""``hf://owner/name[@revision]``: a repository of the Hugging Face Hub, pinned to a commit.

Transport, resuming and credentials (``HF_ENDPOINT``, ``HF_TOKEN``) are huggingface-hub's.
"""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from storage_init.errors import SourceError, WarmstartError
from storage_init.package import DIGEST_FILE, PACKAGE_FILE, Source
from storage_init.sources.selection import listed, select

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from huggingface_hub import HfApi

# `:revision` is KServe's spelling, `@revision` the Hub's.
URI = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:[@:](?P<revision>[\w./-]+))?")
COMMIT = re.compile(r"[0-9a-f]{40}")


def resolve(uri: str) -> Source:
    repo, revision = _parse(uri)
    if revision and COMMIT.fullmatch(revision):
        return Source(uri=uri, revision=revision)
    api = _api()
    with _readable_errors(uri):
        info = api.model_info(repo, revision=revision)
    return Source(uri=uri, revision=info.sha)


def fetch(source: Source, destination: Path) -> None:
    repo, _ = _parse(source.uri)
    api = _api()

    def download(paths: list[str]) -> None:
        api.snapshot_download(
            repo, revision=source.revision, local_dir=destination, allow_patterns=paths
        )

    with _readable_errors(source.uri):
        files = api.list_repo_files(repo, revision=source.revision)
        described = [path for path in (PACKAGE_FILE, DIGEST_FILE) if path in files]
        if described:
            download(described)
        download(listed(destination) if described else select(files, source.uri))
    # huggingface-hub keeps its bookkeeping beside the files.
    shutil.rmtree(destination / ".cache", ignore_errors=True)


def _parse(uri: str) -> tuple[str, str | None]:
    match = URI.fullmatch(uri)
    if match is None:
        raise SourceError(f"{uri} is not of the form hf://owner/name[@revision]")
    return match["repo"], match["revision"]


def _api() -> HfApi:
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.utils import disable_progress_bars
    except ImportError as error:
        raise SourceError("hf:// needs huggingface-hub: install warmstart[storage-init]") from error
    disable_progress_bars()
    return HfApi(library_name="warmstart")


@contextmanager
def _readable_errors(uri: str) -> Iterator[None]:
    """Turns huggingface-hub's exceptions into one sentence that says what to do."""
    from huggingface_hub import errors

    try:
        yield
    except WarmstartError:
        raise
    except errors.GatedRepoError as error:
        raise SourceError(f"{uri} is gated: accept its terms and set HF_TOKEN") from error
    except errors.RepositoryNotFoundError as error:
        raise SourceError(
            f"{uri}: no such repository, or a private one and HF_TOKEN is not set"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise SourceError(f"{uri}: the repository has no such revision") from error
    except errors.HFValidationError as error:
        raise SourceError(f"{uri} is not of the form hf://owner/name[@revision]") from error
    except Exception as error:  # of whatever HTTP client this huggingface-hub uses
        raise SourceError(f"{uri} cannot be fetched: {error}") from error
