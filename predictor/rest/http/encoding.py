"""Decodes the Content-Encoding of a request's body, piece by piece."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from predictor.errors import EncodingError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# zlib's numbers for the formats.
GZIP, ZLIB, BARE = 31, 15, -15
ENCODINGS = (b"gzip", b"x-gzip", b"deflate")
PIECE = 64 * 1024


def encoding_of(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The encoding of a request's body; None if it has none.

    Raises:
        EncodingError: the server does not decode it.
    """
    encoding = headers.get(b"content-encoding", b"").strip().lower()
    if encoding in (b"", b"identity"):
        return None
    if encoding not in ENCODINGS:
        name = encoding.decode("latin-1")
        raise EncodingError(f"Content-Encoding {name!r} is not supported: send gzip or deflate")
    return encoding


def pieces(body: bytes, encoding: bytes) -> Iterator[bytes]:
    """The body without its encoding, in pieces of at most ``PIECE`` bytes.

    Raises:
        InvalidRequestError: it is not of this encoding, or not whole.
    """
    window = GZIP
    if encoding == b"deflate":
        # Some clients send the bare data, without zlib's header.
        headed = len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
        window = ZLIB if headed else BARE
    decoder = zlib.decompressobj(window)
    while not decoder.eof:
        try:
            piece = decoder.decompress(body, PIECE)
        except zlib.error as error:
            raise _wrong(encoding, str(error)) from error
        body = decoder.unconsumed_tail
        if not piece and not body and not decoder.eof:
            raise _wrong(encoding, "it ends too soon")
        yield piece
    if decoder.unused_data:
        raise _wrong(encoding, "it goes on after its end")


def _wrong(encoding: bytes, reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"the body is not {encoding.decode()}: {reason}")
