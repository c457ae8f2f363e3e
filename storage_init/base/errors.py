"""What can go wrong with a source, a package or a store, one class an outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class WarmstartError(Exception):
    """Something a person can act on: the message says what, where and what to do."""


class SourceError(WarmstartError):
    """A source cannot be read: malformed URI, nothing there, or no usable weights."""


class UnreachableError(SourceError):
    """A source's server is down, overloaded or cut off: it said neither yes nor no."""


class NoSpaceError(SourceError):
    """A model does not fit where it should go; the message has both figures."""


class ProviderError(WarmstartError):
    """An execution provider of ONNX Runtime cannot be had here; says what to install."""


class PackageError(WarmstartError):
    """A ``package.json`` is missing, malformed, or of a format this build does not read."""


class VerificationError(WarmstartError):
    """Files of a package are not what ``package.json`` says. ``problems`` names each one."""

    def __init__(self, folder: str, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__(f"{folder} failed verification: " + "; ".join(self.problems))


class SignatureError(WarmstartError):
    """A package is not signed by the key that is asked for. ``problem`` is what is wrong alone."""

    def __init__(self, where: str, problem: str, remedy: str) -> None:
        self.problem = problem
        super().__init__(f"{where} is refused: {problem}. {remedy}")


class SigningKeyError(WarmstartError):
    """A key to sign or verify with cannot be used, or the library for it is not installed."""


class StoreError(WarmstartError):
    """A store has no such model or version, or cannot be written."""
