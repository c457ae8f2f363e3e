"""Errors about sources, packages, signatures and stores, one class for each outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class WarmstartError(Exception):
    """An error that a person can act on: the message says what failed, where, and what to do."""


class SourceError(WarmstartError):
    """A source cannot be read: its URI is malformed, it is empty, or it has no usable weights."""


class UnreachableError(SourceError):
    """A source's server is down, overloaded or cut off, so nobody knows what the source holds."""


class NoSpaceError(SourceError):
    """A model does not fit on the disk; the message has both numbers."""


class ProviderError(WarmstartError):
    """An execution provider of ONNX Runtime is not available; the message says what to install."""


class PackageError(WarmstartError):
    """A ``package.json`` is missing, malformed, or of a format this build does not read."""


class VerificationError(WarmstartError):
    """Files of a package differ from ``package.json``. ``problems`` names each one."""

    def __init__(self, folder: str, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__(f"{folder} failed verification: " + "; ".join(self.problems))


class SignatureError(WarmstartError):
    """A package is not signed by the required key; ``problem`` leaves out the remedy."""

    def __init__(self, where: str, problem: str, remedy: str) -> None:
        self.problem = problem
        super().__init__(f"{where} is refused: {problem}. {remedy}")


class DigestError(WarmstartError):
    """A model or a downloaded file does not have the SHA-256 that the operator expects."""


class SigningKeyError(WarmstartError):
    """A key cannot be used to sign or verify, or the library for signatures is not installed."""


class StoreError(WarmstartError):
    """A store has no such model or version, or cannot be written."""
