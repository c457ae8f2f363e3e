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
    over. ``WARMSTART_LOG_FORMAT``: text or json.
    """

    store: Path | None = None
    lease_seconds: float = STALE_SECONDS
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
            log_format="json" if environ.get("WARMSTART_LOG_FORMAT") == "json" else "text",
        )


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise SettingError(f"{name}={text} must be a number of seconds above 0")
    return seconds
