"""``python -m predictor --model_name NAME --model_dir DIR``."""

from __future__ import annotations

import logging
import os
import signal
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from predictor import process
from predictor.loading.discovery import discover
from predictor.loading.prefetch import prefetch
from predictor.loading.waiting import wait_for_model
from predictor.settings import parse_settings
from predictor.telemetry.startup import Start
from storage_init.base import logs
from storage_init.base.errors import WarmstartError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from predictor.settings import Settings

T = TypeVar("T")
log = logging.getLogger("predictor")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until stopped; returns 1 if no model became ready."""
    start = Start()
    start.mark("python")
    settings = parse_settings(sys.argv[1:] if argv is None else argv)
    logs.configure(settings.log_format, settings.log_level)
    process.tune()
    try:
        return _serve(settings, start)
    except WarmstartError as error:
        log.error("%s", error)
        return 1


def _serve(settings: Settings, start: Start) -> int:
    """Start the loads between the imports, so that they run while Python still imports."""
    if settings.models_dir is None:
        _wait_for_model(settings)
    models = discover(settings)
    prefetched = [_outcome(prefetch, model) for model in models]
    start.mark("prefetching")
    from predictor.engine.tokenizer_cache import TokenizerCache
    from predictor.loading.load import load

    start.mark("runtime_imported")
    tokenizers = TokenizerCache()
    loader = ThreadPoolExecutor(settings.lanes, thread_name_prefix="load")
    loads = [
        (model, loader.submit(lambda *of: load(of[0], of[1].result(), tokenizers), model, begun))
        for model, begun in zip(models, prefetched, strict=True)
    ]
    from predictor.server import serve

    start.mark("server_imported")
    code = 1
    try:
        code = serve(settings, loads, start, tokenizers)
    except WarmstartError as error:
        log.error("%s", error)
    if loads:
        # Python would wait for its threads, but a load that hangs on its storage never ends.
        logging.shutdown()
        os._exit(code)
    return code


def _wait_for_model(settings: Settings) -> None:
    """Wait as the settings say; SIGTERM, which a first process would ignore, ends the process."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    wait_for_model(settings)
    signal.signal(signal.SIGTERM, before)


def _outcome(function: Callable[[Settings], T], settings: Settings) -> Future[T]:
    """The outcome of a call; the failure of one model does not stop the others."""
    future: Future[T] = Future()
    try:
        future.set_result(function(settings))
    except WarmstartError as error:
        future.set_exception(error)
    return future


if __name__ == "__main__":
    sys.exit(main())
