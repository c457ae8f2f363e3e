"""Sources of models: resolve a URI to a fixed revision, then fetch that revision.

The room owns one module for each kind of source; ``SCHEMES`` lists them. Each module has
``resolve(uri) -> Source`` and ``connect(source) -> Remote``, and is imported when it is needed,
because a store hit needs few of them. ``transfer`` holds their common parts. The room may import
raw, format and base; it must never know the store.
"""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from storage_init.base.errors import SourceError
from storage_init.base.uris import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage_init.format.package import Source
    from storage_init.sources.transfer.fetching import Admit, Inspect, Listing
    from storage_init.sources.transfer.remote import Scheme
    from storage_init.sources.transfer.selection import Weights

_T = TypeVar("_T")

# How the Hub's own tools name a repository.
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")

# Each scheme's module.
SCHEMES = {
    "hf": "hub",
    "file": "local",
    "s3": "s3",
    "gs": "gcs",
    "https": "web",
    "http": "web",
    "pvc": "pvc",
}


def resolve(uri: str, retries: int | None = None) -> Source:
    """Pin a URI to its present revision: a commit, or a digest of the content or the listing.

    A path of a folder stands for its ``file://`` URI.

    ``retries``: a lower limit than ``WARMSTART_RETRIES``.

    Raises:
        UnreachableError: the server is down, overloaded or cut off.
        SourceError: the scheme is unknown, or the source is malformed, missing or forbidden.
    """
    whole = _file_uri(uri) or uri
    return _ask(whole, lambda scheme: scheme.resolve(whole), retries)


def fetch(
    source: Source,
    destination: Path,
    admit: Admit | None = None,
    weights: Weights = "safetensors",
    inspect: Inspect | None = None,
) -> bool:
    """Download the needed files of a resolved source into a folder, and create the folder.

    A second call after a failure continues where the first stopped: unfinished files are below
    ``destination/.fetch``.

    Args:
        source: the source at its revision.
        destination: the folder.
        admit: called before the weights arrive, with a folder that holds a prepared model's
            description and signature if there are any; raises to refuse the model.
        weights: which weights to prefer if a raw repository has both.
        inspect: called before the weights arrive, with a folder that holds everything else, and
            with the paths of all its files; raises to refuse the model.

    Returns:
        Whether it took an ONNX graph instead of safetensors.

    Raises:
        WarmstartError: the source is gone, has changed, has no usable weights, does not fit or
            holds a file that is refused.
    """
    from storage_init.sources.transfer import fetching

    destination.mkdir(parents=True, exist_ok=True)
    remote = _ask(source.uri, lambda scheme: scheme.connect(source))
    return fetching.fetch(source, remote, destination, admit, weights, inspect)


def size(source: Source, weights: Weights = "safetensors") -> int:
    """List a resolved source and return the bytes that :func:`fetch` downloads.

    Raises:
        WarmstartError: the source is gone, has changed, or has no usable weights.
    """
    from storage_init.sources.transfer import fetching

    remote = _ask(source.uri, lambda scheme: scheme.connect(source))
    return fetching.size(remote, shown(source.uri), weights)


def describe(source: Source, folder: Path, weights: Weights = "safetensors") -> Listing:
    """Download what :func:`fetch` would, but for the weights, and list the source.

    Of an archive nothing is downloaded, and its only path is its own.

    Raises:
        WarmstartError: the source is gone, has changed, or has no usable weights.
    """
    from storage_init.sources.transfer import fetching

    remote = _ask(source.uri, lambda scheme: scheme.connect(source))
    return fetching.describe(remote, folder, shown(source.uri), weights)


def _file_uri(uri: str) -> str | None:
    """Return the URI of a path that a person typed, None for anything else."""
    path = Path(os.path.expanduser(uri))  # noqa: PTH111 - Path's own raises for unknown users
    if not uri or "://" in uri or not (uri.startswith(("/", "./", "../", "~")) or path.is_dir()):
        return None
    return path.absolute().as_uri()


def _ask(uri: str, request: Callable[[Scheme], _T], retries: int | None = None) -> _T:
    from storage_init.sources.transfer.failures import explained, retrying

    name, separator, _ = uri.partition("://")
    if not separator or name not in SCHEMES:
        known = ", ".join(f"{each}://" for each in SCHEMES)
        if REPOSITORY.fullmatch(uri):
            raise SourceError(
                f"there is no folder {uri} here; a repository of the Hub is hf://{uri}"
            )
        raise SourceError(f"{shown(uri)} is not a source this build can read (it reads {known})")
    scheme = cast("Scheme", import_module(f"{__name__}.{SCHEMES[name]}"))
    with explained(shown(uri)):
        return retrying(lambda: request(scheme), shown(uri), retries=retries)
