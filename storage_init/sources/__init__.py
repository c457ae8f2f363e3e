"""Sources of models: resolve a URI to a fixed revision, then fetch that revision.

The room owns one module for each kind of source; ``SCHEMES`` lists them. Each module has
``resolve(uri) -> Source`` and ``connect(source) -> Remote``, and is imported when it is needed,
because a store hit needs few of them. ``transfer`` holds their common parts. The room may import
raw, format and base; it must never know the store.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, TypeVar, cast

from storage_init.base.errors import SourceError
from storage_init.base.uris import shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storage_init.format.package import Source
    from storage_init.sources.transfer.fetching import Admit
    from storage_init.sources.transfer.remote import Scheme
    from storage_init.sources.transfer.selection import Weights

_T = TypeVar("_T")

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

    ``retries``: a lower limit than ``WARMSTART_RETRIES``.

    Raises:
        UnreachableError: the server is down, overloaded or cut off.
        SourceError: the scheme is unknown, or the source is malformed, missing or forbidden.
    """
    return _ask(uri, lambda scheme: scheme.resolve(uri), retries)


def fetch(
    source: Source,
    destination: Path,
    admit: Admit | None = None,
    weights: Weights = "safetensors",
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

    Returns:
        Whether it took an ONNX graph instead of safetensors.

    Raises:
        WarmstartError: the source is gone, has changed, has no usable weights, does not fit or
            holds a file that is refused.
    """
    from storage_init.sources.transfer import fetching

    destination.mkdir(parents=True, exist_ok=True)
    remote = _ask(source.uri, lambda scheme: scheme.connect(source))
    return fetching.fetch(source, remote, destination, admit, weights)


def size(source: Source, weights: Weights = "safetensors") -> int:
    """List a resolved source and return the bytes that :func:`fetch` downloads.

    Raises:
        WarmstartError: the source is gone, has changed, or has no usable weights.
    """
    from storage_init.sources.transfer import fetching

    remote = _ask(source.uri, lambda scheme: scheme.connect(source))
    return fetching.size(remote, shown(source.uri), weights)


def _ask(uri: str, request: Callable[[Scheme], _T], retries: int | None = None) -> _T:
    from storage_init.sources.transfer.failures import explained, retrying

    name, separator, _ = uri.partition("://")
    if not separator or name not in SCHEMES:
        known = ", ".join(f"{each}://" for each in SCHEMES)
        raise SourceError(f"{shown(uri)} is not a source this build can read (it reads {known})")
    scheme = cast("Scheme", import_module(f"{__name__}.{SCHEMES[name]}"))
    with explained(shown(uri)):
        return retrying(lambda: request(scheme), shown(uri), retries=retries)
