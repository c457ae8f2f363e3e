"""The storage initializer's settings: environment variables, because KServe fixes its arguments.

The pipeline and the store's commands read some of these variables too. The predictor's flags use
the same kinds of values, so that all programs report a wrong value in the same words.
"""

from __future__ import annotations

import argparse
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from storage_init.base.errors import WarmstartError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True)
class Kind(Generic[T_co]):
    """A parser of one kind of setting; ``words`` describe the kind in the reference.

    ``parse`` raises ``ArgumentTypeError`` for a text that is not of this kind.
    """

    words: str
    parse: Callable[[str], T_co]

    def __call__(self, text: str) -> T_co:
        return self.parse(text)


def at_least(lowest: int) -> Kind[int]:
    """Return the kind of whole numbers that are at least ``lowest``."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal()) or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {lowest} up")
        return int(text)

    return Kind(f"whole number ≥ {lowest}", parse)


def one_of(*choices: str) -> Kind[str]:
    """Return the kind of texts that are one of ``choices``."""

    def parse(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"choose from {', '.join(choices)}")
        return text

    return Kind(", ".join(f"`{choice}`" for choice in choices), parse)


def _flag(text: str) -> bool:
    if text.lower() not in WORDS:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return WORDS[text.lower()]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def _some_seconds(text: str) -> float:
    seconds = _seconds(text)
    if not seconds:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def _sha256(text: str) -> str:
    digest = text.lower().removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise argparse.ArgumentTypeError(f"{text!r} is not sha256: and 64 hex digits")
    return digest


def _key_file(text: str) -> Path:
    # An empty value is an error: a typo must not turn signatures off.
    if not text:
        raise argparse.ArgumentTypeError("name a PEM file, or do not set it")
    return Path(text)


FLAG = Kind("true or false", _flag)
FOLDER = Kind("folder", Path)
KEY_FILE = Kind("file", _key_file)
NUMBER = Kind("number", _number)
SECONDS = Kind("seconds ≥ 0", _seconds)
SOME_SECONDS = Kind("seconds > 0", _some_seconds)
SHA256 = Kind("sha256:…", _sha256)
TEXT = Kind("text", str)


class SettingError(WarmstartError):
    """A variable has a value that is not allowed."""


@dataclass(frozen=True)
class Variable(Generic[T]):
    """One environment variable; ``meaning`` is its text in the reference."""

    name: str
    kind: Kind[T]
    default: T
    meaning: str

    def read(self, environ: Mapping[str, str] = os.environ) -> T:
        """Return the variable's value, or the default if it is unset or, except a key, empty.

        Raises:
            SettingError: the value is not allowed; the message names the variable and its kind.
        """
        text = environ.get(self.name, "")
        if not text and (self.name not in environ or self.kind is not KEY_FILE):
            return self.default
        try:
            return self.kind(text)
        except argparse.ArgumentTypeError as error:
            raise SettingError(f"{self.name}={text}: {error}") from error


STORE: Variable[Path | None] = Variable(
    "WARMSTART_STORE",
    FOLDER,
    None,
    "the store, on a volume that pods share; the first pod that needs a revision fills it and the "
    "others read it. Without a store, each pod downloads from the source",
)
SIGN_KEY: Variable[Path | None] = Variable(
    "WARMSTART_SIGN_KEY",
    KEY_FILE,
    None,
    "PEM file of the private key that signs prepared models; also read by the pipeline and by "
    "`storage_init.store sign`. Set and empty is an error",
)
VERIFY_KEY: Variable[Path | None] = Variable(
    "WARMSTART_VERIFY_KEY",
    KEY_FILE,
    None,
    "PEM file of the public key that every model must verify with or be refused; also read by "
    "the predictor and by `storage_init.store verify`. Set and empty is an error",
)
# KServe's webhook sets it for a model's `verification` block (kserve/kserve, pull request 6051).
VERIFICATION_DIGEST: Variable[str | None] = Variable(
    "VERIFICATION_DIGEST",
    SHA256,
    None,
    "SHA-256 that the model must have before any of it is parsed: of the file that a URL names, or "
    "of a prepared model's `package.json`, which lists the digests of all its files. `sha256:` "
    "may be left out; the predictor reads it too",
)
# The modes of KServe's proposal (kserve/kserve, issue 5789); it has no name for the variable yet.
VERIFICATION_MODE = Variable(
    "VERIFICATION_MODE",
    one_of("enforce", "warn"),
    "enforce",
    "if the model does not have `VERIFICATION_DIGEST`: `enforce` fails; `warn` logs it and "
    "delivers the model",
)
LEASE_SECONDS = Variable(
    "WARMSTART_LEASE_SECONDS",
    SOME_SECONDS,
    15.0,
    "how long a pod that fetches may give no sign of life before another pod takes over",
)
UNREACHABLE = Variable(
    "WARMSTART_UNREACHABLE",
    one_of("fallback", "refuse"),
    "fallback",
    "if a source's server is down: `fallback` uses the version that the URI last led to, verified "
    "and with a warning; `refuse` fails",
)
RECHECK_SECONDS = Variable(
    "WARMSTART_RECHECK_SECONDS",
    SECONDS,
    0.0,
    "how long pods reuse the revision that one of them read from a source; 0 makes every pod ask "
    "the source",
)
RETRIES = Variable(
    "WARMSTART_RETRIES",
    at_least(0),
    5,
    "retries after a temporary failure of a source, with waits that double up to 30 s; each MiB "
    "that arrives resets the count",
)
MAX_MODEL_BYTES = Variable(
    "WARMSTART_MAX_MODEL_BYTES",
    at_least(1),
    64 << 30,
    "largest model that is accepted, in bytes, unpacked; the default is 64 GiB",
)
ALLOW_PICKLES = Variable(
    "WARMSTART_ALLOW_PICKLES",
    FLAG,
    False,
    "fetch pickled weights from a raw repository that has no other weights; this program never "
    "unpickles them",
)
ALLOW_HTTP = Variable(
    "WARMSTART_ALLOW_HTTP",
    FLAG,
    False,
    "accept `http://` sources on other machines; only a `#sha256=` in the URI protects what is "
    "downloaded from them",
)
PVC_DIR = Variable(
    "WARMSTART_PVC_DIR",
    FOLDER,
    Path("/mnt/pvc"),
    "where the claim of a `pvc://` source is mounted in this container",
)
LOG_FORMAT = Variable(
    "WARMSTART_LOG_FORMAT", one_of("text", "json"), "text", "format of the log lines, one per event"
)

ALL: tuple[Variable[Any], ...] = (
    *(STORE, SIGN_KEY, VERIFY_KEY, VERIFICATION_DIGEST, VERIFICATION_MODE),
    *(LEASE_SECONDS, UNREACHABLE, RECHECK_SECONDS, RETRIES),
    *(MAX_MODEL_BYTES, ALLOW_PICKLES, ALLOW_HTTP, PVC_DIR, LOG_FORMAT),
)
