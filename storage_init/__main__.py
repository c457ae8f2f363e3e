"""KServe's storage initializer: ``python -m storage_init SRC DST [SRC DST ...]``."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from storage_init.base import logs, variables
from storage_init.base.errors import WarmstartError
from storage_init.base.files import share_with_group
from storage_init.base.uris import shown
from storage_init.fetch.initializer import initialize
from storage_init.fetch.shared_store import SharedStore
from storage_init.format import signing
from storage_init.store.layout import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("storage_init")


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch every pair; return 0 only if all destinations are whole.

    The last log line of a failure becomes the pod's termination message.
    """
    parser = argparse.ArgumentParser(
        prog="warmstart-fetch",
        description="Bring models to where a predictor reads them, verified.",
        epilog="WARMSTART_STORE names a store that pods share: one fills it, the others read it.",
    )
    parser.add_argument(
        "pairs",
        nargs="+",
        metavar="SRC DST",
        help="a source (hf://, s3://, gs://, https://, file://, pvc://, warm://) and a folder",
    )
    pairs = parser.parse_args(argv).pairs
    if len(pairs) % 2:
        odd = shown(pairs[-1])
        parser.error(f"sources and destinations come in pairs, but {odd} has no partner")
    logs.configure()
    # PID 1 ignores SIGTERM by default; as an interrupt it lets the process clean up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        logs.configure(cast("logs.LogFormat", variables.LOG_FORMAT.read()))
        shared = _shared_store()
        if len(pairs) > 2 and variables.VERIFICATION_DIGEST.read():
            raise WarmstartError(
                f"{variables.VERIFICATION_DIGEST.name} is the digest of one model, and there are "
                f"{len(pairs) // 2}: start an initializer for each"
            )
        signing.check_keys()
        for uri, destination in zip(pairs[::2], pairs[1::2], strict=True):
            initialize(uri, Path(destination), shared)
    except WarmstartError as error:
        log.error("%s", error)
        return 1
    except KeyboardInterrupt:
        log.error("stopped before all destinations were whole")
        return 130
    return 0


def _shared_store() -> SharedStore | None:
    # All are read, so that a wrong value is reported even if no store is named.
    root, stale = variables.STORE.read(), variables.LEASE_SECONDS.read()
    recheck, unreachable = variables.RECHECK_SECONDS.read(), variables.UNREACHABLE.read()
    if root is None:
        return None
    share_with_group(root)
    return SharedStore(
        Store(root),
        stale_seconds=stale,
        falls_back=unreachable == "fallback",
        recheck_seconds=recheck,
    )


if __name__ == "__main__":
    sys.exit(main())
