"""KServe's model server around one prepared model."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

from kserve import ModelServer, model_server

from predictor.model import PreparedModel
from storage_init.errors import WarmstartError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from predictor.settings import Settings


# These write up to four lines a request.
REQUEST_LOGGERS = ("kserve", "kserve.trace", "uvicorn.access")


class FlagError(WarmstartError):
    """A flag that neither we nor KServe know, or that cannot work with a prepared model."""


def serve(settings: Settings, kserve_flags: Sequence[str]) -> None:
    """Load the model, then serve it until SIGTERM.

    Raises:
        WarmstartError: the model did not pass a check; no port was opened.
    """
    _check_flags(kserve_flags)
    if not settings.enable_latency_logging:
        for logger in REQUEST_LOGGERS:
            logging.getLogger(logger).setLevel(logging.WARNING)
    # KServe's V1 routes use it; nobody who reads our log can change that.
    warnings.filterwarnings("ignore", message="ORJSONResponse is deprecated")
    model = PreparedModel(settings)
    model.load()
    ModelServer(
        http_port=settings.http_port,
        grpc_port=settings.grpc_port,
        enable_grpc=settings.enable_grpc,
        enable_docs_url=settings.enable_docs_url,
        enable_latency_logging=settings.enable_latency_logging,
    ).start([model])


def _check_flags(flags: Sequence[str]) -> None:
    """KServe reads its own flags when it is imported, and ignores what it does not know."""
    known, unknown = model_server.parser.parse_known_args(flags)
    if unknown:
        raise FlagError(f"unknown argument {unknown[0]}: see --help")
    if known.workers != 1:
        raise FlagError("--workers must be 1: one process uses all its CPUs through --lanes")
