"""Every variable that the storage initializer reads; KServe fixes its arguments, so there are none.

The pipeline and the store's commands read some of them, too.
"""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from storage_init.base.errors import WarmstartError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from storage_init.base.logs import LogFormat

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True)
class Kind(Generic[T_co]):
    """``words`` say in a reference what is taken; all else is an ``ArgumentTypeError``."""

    words: str
    parse: Callable[[str], T_co]

    def __call__(self, text: str) -> T_co:
        return self.parse(text)


def at_least(lowest: int) -> Kind[int]:
    """Whole numbers from one up."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal()) or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {lowest} up")
        return int(text)

    return Kind(f"whole number ≥ {lowest}", parse)


def one_of(*choices: str) -> Kind[str]:
    """Some words and no others."""

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


def _key_file(text: str) -> Path:
    # Not the same as unset: whoever meant to demand signatures is not to go without.
    if not text:
        raise argparse.ArgumentTypeError("name a PEM file, or do not set it")
    return Path(text)


FLAG = Kind("true or false", _flag)
FOLDER = Kind("folder", Path)
KEY_FILE = Kind("file", _key_file)
NUMBER = Kind("number", _number)
SECONDS = Kind("seconds ≥ 0", _seconds)
SOME_SECONDS = Kind("seconds > 0", _some_seconds)
TEXT = Kind("text", str)


class SettingError(WarmstartError):
    """A variable has a value that it cannot have."""


@dataclass(frozen=True)
class Variable(Generic[T]):
    """One variable of the environment; ``meaning`` is its documentation."""

    name: str
    kind: Kind[T]
    default: T
    meaning: str

    def read(self, environ: Mapping[str, str] = os.environ) -> T:
        """Its value; the default where it is unset or empty.

        Raises:
            SettingError: names the variable, and says what it may be.
        """
        text = environ.get(self.name)
        if not text:
            return self.default
        try:
            return self.kind(text)
        except argparse.ArgumentTypeError as error:
            raise SettingError(f"{self.name}={text}: {error}") from error


STORE: Variable[Path | None] = Variable(
    "WARMSTART_STORE",
    FOLDER,
    None,
    "the store, on a volume that pods share; the first pod of a revision fills it, the others hit. "
    "Without one each destination is filled from its source",
)
SIGN_KEY: Variable[Path | None] = Variable(
    "WARMSTART_SIGN_KEY",
    KEY_FILE,
    None,
    "PEM file of the private key that signs what is prepared; also read by the pipeline and by "
    "`storage_init.store sign`. Set and empty is an error",
)
VERIFY_KEY: Variable[Path | None] = Variable(
    "WARMSTART_VERIFY_KEY",
    KEY_FILE,
    None,
    "PEM file of the public key that everything must verify with, else it is refused; also read by "
    "the predictor and by `storage_init.store verify`. Set and empty is an error",
)
LEASE_SECONDS = Variable(
    "WARMSTART_LEASE_SECONDS",
    SOME_SECONDS,
    15.0,
    "how long a pod that fetches may be silent before another takes over",
)
UNREACHABLE = Variable(
    "WARMSTART_UNREACHABLE",
    one_of("fallback", "refuse"),
    "fallback",
    "where a source's server is down: `fallback` to the version that the URI last led to, verified "
    "and with a warning, or `refuse`",
)
RECHECK_SECONDS = Variable(
    "WARMSTART_RECHECK_SECONDS",
    SECONDS,
    0.0,
    "for how long what one pod was told of a source's revision holds for the others; 0 asks each "
    "time",
)
RETRIES = Variable(
    "WARMSTART_RETRIES",
    at_least(0),
    5,
    "attempts after a passing failure of a source, with waits that double up to 30 s; each MiB "
    "that arrives starts the count anew",
)
MAX_MODEL_BYTES = Variable(
    "WARMSTART_MAX_MODEL_BYTES",
    at_least(1),
    64 << 30,
    "bytes of the largest model that is accepted, unpacked; the default is 64 GiB",
)
ALLOW_PICKLES = Variable(
    "WARMSTART_ALLOW_PICKLES",
    FLAG,
    False,
    "fetch pickled weights of a raw repository that has no others; nothing here unpickles them",
)
ALLOW_HTTP = Variable(
    "WARMSTART_ALLOW_HTTP",
    FLAG,
    False,
    "take `http://` sources from other machines than this one; nothing protects them on their way "
    "but a `#sha256=`",
)
PVC_DIR = Variable(
    "WARMSTART_PVC_DIR",
    FOLDER,
    Path("/mnt/pvc"),
    "where the claim of a `pvc://` source is mounted in this container",
)
LOG_FORMAT = Variable(
    "WARMSTART_LOG_FORMAT", one_of("text", "json"), "text", "one line an event, as text or as JSON"
)

ALL: tuple[Variable[Any], ...] = (
    *(STORE, SIGN_KEY, VERIFY_KEY, LEASE_SECONDS, UNREACHABLE, RECHECK_SECONDS, RETRIES),
    *(MAX_MODEL_BYTES, ALLOW_PICKLES, ALLOW_HTTP, PVC_DIR, LOG_FORMAT),
)


@dataclass(frozen=True)
class Settings:
    """How this process uses a store, and logs."""

    store: Path | None = STORE.default
    lease_seconds: float = LEASE_SECONDS.default
    falls_back: bool = True
    recheck_seconds: float = RECHECK_SECONDS.default
    log_format: LogFormat = "text"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the

        Raises:
            SettingError: names the variable and what it may be.
        """
        return cls(
            store=STORE.read(environ),
            lease_seconds=LEASE_SECONDS.read(environ),
            falls_back=UNREACHABLE.read(environ) == "fallback",
            recheck_seconds=RECHECK_SECONDS.read(environ),
            log_format=cast("LogFormat", LOG_FORMAT.read(environ)),
        )
