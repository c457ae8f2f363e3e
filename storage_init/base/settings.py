"""The storage initializer's own settings; what its sources read is beside them in ``variables``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from storage_init.base import variables

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from storage_init.base.logs import LogFormat


@dataclass(frozen=True)
class Settings:
    """How this process uses a store, and logs."""

    store: Path | None = variables.STORE.default
    lease_seconds: float = variables.LEASE_SECONDS.default
    falls_back: bool = True
    recheck_seconds: float = variables.RECHECK_SECONDS.default
    log_format: LogFormat = "text"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the variables.

        Raises:
            SettingError: names the variable and what it may be.
        """
        return cls(
            store=variables.STORE.read(environ),
            lease_seconds=variables.LEASE_SECONDS.read(environ),
            falls_back=variables.UNREACHABLE.read(environ) == "fallback",
            recheck_seconds=variables.RECHECK_SECONDS.read(environ),
            log_format=cast("LogFormat", variables.LOG_FORMAT.read(environ)),
        )
