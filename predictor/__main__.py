"""``python -m predictor --model_name NAME --model_dir DIR``."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from predictor.settings import parse_settings
from storage_init import logs
from storage_init.errors import WarmstartError

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("predictor")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until stopped; 1 if the model did not become ready."""
    settings, kserve_flags = parse_settings(sys.argv[1:] if argv is None else argv)
    logs.configure(settings.log_format, settings.log_level)
    from predictor.server import serve

    try:
        serve(settings, kserve_flags)
    except WarmstartError as error:
        log.error("%s did not become ready: %s", settings.model_name, error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
