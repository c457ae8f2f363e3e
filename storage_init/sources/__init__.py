"""Where models come from: a URI is resolved to a fixed revision, then fetched at it.

One module a kind of source; ``SCHEMES`` is the whole list. Each has ``resolve(uri) -> Source``
and ``connect(source) -> Remote``; what is the same for all is in ``fetching``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage_init.errors import SourceError
from storage_init.sources import fetching, gcs, hub, local, pvc, s3, web
from storage_init.sources.failures import explained, retrying
from storage_init.sources.names import shown

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.package import Source
    from storage_init.sources.fetching import Admit
    from storage_init.sources.remote import Scheme


SCHEMES: dict[str, Scheme] = {
    "hf": hub,
    "file": local,
    "s3": s3,
    "gs": gcs,
    "https": web,
    "http": web,
    "pvc": pvc,
}


def resolve(uri: str) -> Source:
    """Pin a URI to the revision it has now: a commit, or a digest of the content or its listing.

    Raises:
        SourceError: an unknown scheme, a malformed URI, nothing there, or no way to it.
    """
    scheme = _scheme(uri)
    with explained(shown(uri)):
        return retrying(lambda: scheme.resolve(uri), shown(uri))


def fetch(source: Source, destination: Path, admit: Admit | None = None) -> None:
    """Bring the needed files of a resolved source into a folder, which is created.

    A second call after a failure goes on where the first broke off: its work lies below
    ``destination/.fetch``, and in no other place until all files are whole.

    ``admit``: asked as soon as the folder that it is given holds a prepared model's description
    and signature, or it is certain that there are none; it raises to have no more fetched.

    Raises:
        WarmstartError: the source is gone, changed since, has no usable weights, does not fit
            or holds something that is refused.
    """
    destination.mkdir(parents=True, exist_ok=True)
    fetching.fetch(source, _scheme(source.uri).connect, destination, admit)


def _scheme(uri: str) -> Scheme:
    name, separator, _ = uri.partition("://")
    if not separator or name not in SCHEMES:
        known = ", ".join(f"{each}://" for each in SCHEMES)
        raise SourceError(f"{uri} is not a source this build can read (it reads {known})")
    return SCHEMES[name]
