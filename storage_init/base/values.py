"""What a setting's text may be, for flags and variables of all programs: errors are alike, then."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

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
