"""The sources of models: a URI is resolved to a fixed revision, then fetched at that revision.

The room owns one module for each kind of source; ``SCHEMES`` lists them all. Each has
``resolve(uri) -> Source`` and ``connect(source) -> Remote``, and is imported when it is needed,
because a hit needs few of them. Their common parts are in ``transfer``. The room may import raw,
format and base; it must never know the store.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from storage_init.base.errors import SourceError
from storage_init.base.uris import shown

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.format.package import Source
    from storage_init.sources.transfer.fetching import Admit
    from storage_init.sources.transfer.remote import Scheme
    from storage_init.sources.transfer.selection import Weights


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
    """Pin a URI to the revision it has now: a commit, or a digest of the content or its listing.

    ``retries``: after a passing failure, at most so many.

    Raises:
        UnreachableError: the server is down, overloaded or cut off.
        SourceError: an unknown scheme, a malformed URI, nothing there, or no access.
    """
    from storage_init.sources.transfer.failures import explained, retrying

    scheme = _scheme(uri)
    with explained(shown(uri)):
        return retrying(lambda: scheme.resolve(uri), shown(uri), retries=retries)


def fetch(
    source: Source,
    destination: Path,
    admit: Admit | None = None,
    weights: Weights = "safetensors",
) -> bool:
    """Bring the needed files of a resolved source into a folder, which is created.

    A second call after a failure goes on where the first broke off: its work lies below
    ``destination/.fetch``, and in no other place until all files are whole.

    Args:
        source: at its revision.
        destination: the folder.
        admit: asked as soon as the folder that it is given holds a prepared model's description
            and signature, or it is certain that there are none; it raises to have no more fetched.
        weights: what to bring of a raw repository that has both.

    Returns:
        Whether an ONNX graph was taken in the place of safetensors.

    Raises:
        WarmstartError: the source is gone, changed since, has no usable weights, does not fit
            or holds something that is refused.
    """
    from storage_init.sources.transfer import fetching

    destination.mkdir(parents=True, exist_ok=True)
    return fetching.fetch(source, _scheme(source.uri).connect, destination, admit, weights)


def size(source: Source, weights: Weights = "safetensors") -> int:
    """The bytes that :func:`fetch` brings of a resolved source; it is listed, and no more.

    Raises:
        WarmstartError: the source is gone, changed since, or has no usable weights.
    """
    from storage_init.sources.transfer import fetching

    return fetching.size(source, _scheme(source.uri).connect, weights)


def _scheme(uri: str) -> Scheme:
    name, separator, _ = uri.partition("://")
    if not separator or name not in SCHEMES:
        known = ", ".join(f"{each}://" for each in SCHEMES)
        raise SourceError(f"{uri} is not a source this build can read (it reads {known})")
    return cast("Scheme", import_module(f"{__name__}.{SCHEMES[name]}"))
