"""Values of flags that several commands take."""

from __future__ import annotations

import argparse


def service_name(text: str) -> tuple[str, str]:
    """Read NAMESPACE/NAME."""
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAMESPACE/NAME")
    return namespace, name


def percent(text: str) -> int:
    """Read a percentage below 100."""
    if not text.isdecimal() or not 0 <= int(text) < 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 99")
    return int(text)
