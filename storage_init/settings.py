"""The storage initializer's settings; KServe fixes its arguments, so they are variables alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storage_init.errors import WarmstartError
from storage_init.lease import STALE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storage_init.logs import LogFormat


class SettingError(WarmstartError):
    """A variable has a value that it cannot have."""


@dataclass(frozen=True)
class Settings:
    """``WARMSTART_STORE``: a store that pods share; none by default.

    ``WARMSTART_LEASE_SECONDS``: how long a pod that fetches may be silent before another takes
    over. ``WARMSTART_UNREACHABLE``: ``fallback`` to the version that a source was last resolved to
    where its server does not answer, or ``refuse``. ``WARMSTART_RECHECK_SECONDS``: for how long
    what one pod was told of a source's revision holds for the others; 0 asks each time.
    ``WARMSTART_LOG_FORMAT``: text or json.
    """

    store: Path | None = None
    lease_seconds: float = STALE_SECONDS
    falls_back: bool = True
    recheck_seconds: float = 0.0
    log_format: LogFormat = "text"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the variables.

        Raises:
            SettingError: names the variable and what it may be.
        """
        store = environ.get("WARMSTART_STORE")
        return cls(
            store=Path(store) if store else None,
            lease_seconds=_seconds(environ, "WARMSTART_LEASE_SECONDS", STALE_SECONDS),
            falls_back=_falls_back(environ),
            recheck_seconds=_seconds(environ, "WARMSTART_RECHECK_SECONDS", 0.0, zero=True),
            log_format="json" if environ.get("WARMSTART_LOG_FORMAT") == "json" else "text",
        )


def _falls_back(environ: Mapping[str, str]) -> bool:
    text = environ.get("WARMSTART_UNREACHABLE") or "fallback"
    if text not in ("fallback", "refuse"):
        raise SettingError(f"WARMSTART_UNREACHABLE={text} must be fallback or refuse")
    return text == "fallback"


def _seconds(environ: Mapping[str, str], name: str, default: float, *, zero: bool = False) -> float:
    text = environ.get(name) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not (seconds > 0 or (zero and seconds == 0)):
        least = "of at least 0" if zero else "above 0"
        raise SettingError(f"{name}={text} must be a number of seconds {least}")
    return seconds
