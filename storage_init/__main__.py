"""KServe's storage initializer: ``python -m storage_init SRC DST [SRC DST ...]``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from storage_init import logs
from storage_init.errors import WarmstartError
from storage_init.initializer import initialize

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("storage_init")


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch every pair; 0 only when all destinations are whole.

    The last log line of a failure becomes the pod's termination message.
    """
    parser = argparse.ArgumentParser(
        prog="warmstart-fetch",
        description="Bring models to where a predictor reads them, verified.",
    )
    parser.add_argument(
        "pairs", nargs="+", metavar="SRC DST", help="source URI (hf://, file://) and a folder"
    )
    pairs = parser.parse_args(argv).pairs
    if len(pairs) % 2:
        parser.error(f"sources and destinations come in pairs, but {pairs[-1]} has no partner")
    logs.configure("json" if os.environ.get("WARMSTART_LOG_FORMAT") == "json" else "text")
    try:
        for uri, destination in zip(pairs[::2], pairs[1::2], strict=True):
            initialize(uri, Path(destination))
    except WarmstartError as error:
        log.error("%s", error)
        return 1
    except KeyboardInterrupt:
        log.error("stopped before all destinations were whole")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
