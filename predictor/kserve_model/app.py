"""KServe's own application, imported when the first request needs it."""

from __future__ import annotations

import asyncio
import logging
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from storage_init.base.logs import timed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from predictor.rest.http.request import ASGIApp, Receive, Scope, Send
    from predictor.serving.model import Model
    from predictor.settings import Settings

# These loggers write up to four lines per request.
REQUEST_LOGGERS = ("kserve", "kserve.trace", "uvicorn.access")

log = logging.getLogger(__name__)


@contextmanager
def _command_line() -> Iterator[None]:
    """Hide our flags: KServe parses ``sys.argv`` when it is imported."""
    given = sys.argv
    sys.argv = given[:1]
    try:
        yield
    finally:
        sys.argv = given


class KServeApp:
    """Answers the requests that only ``kserve.ModelServer`` supports, with the same models."""

    def __init__(self, settings: Settings, models: Iterable[Model]) -> None:
        self._settings = settings
        self._models = models
        self._importing = asyncio.Lock()
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            async with self._importing:
                if self._app is None:
                    self._app = await asyncio.to_thread(self._import)
        await self._app(scope, receive, send)

    def _import(self) -> ASGIApp:
        with timed(log, "imported KServe's own server for a route that only it has"):
            if not self._settings.enable_latency_logging:
                for logger in REQUEST_LOGGERS:
                    logging.getLogger(logger).setLevel(logging.WARNING)
            # KServe's V1 routes cause this warning, which our users cannot fix.
            warnings.filterwarnings("ignore", message="ORJSONResponse is deprecated")
            with _command_line():
                from kserve import ModelServer
            from kserve.model_server import app
            from kserve.protocol.rest.server import RESTServer

            from predictor.kserve_model.model import PreparedModel

            server = ModelServer(http_port=self._settings.http_port, enable_grpc=False)
            for served in self._models:
                server.register_model(PreparedModel(served.settings, served))
            RESTServer(
                "kserve.model_server:app",
                server.dataplane,
                server.model_repository_extension,
                self._settings.http_port,
            ).create_application()
            kserve_app: ASGIApp = app
            return kserve_app
