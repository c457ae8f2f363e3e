"""REST and gRPC around the served models, from listening to the last answer before the end."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn

from predictor import metrics, process
from predictor.grpc_service import grpc_server
from predictor.kserve_app import KServeApp
from predictor.rest import RestApp
from predictor.served import ServedModel
from storage_init.errors import WarmstartError
from storage_init.logs import event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from predictor.loading import LoadedModel
    from predictor.settings import Settings
    from predictor.start import Start

    Loads = Sequence[tuple[Settings, Future[LoadedModel]]]

GRACE_SECONDS = 30
KEEP_ALIVE_SECONDS = 65
BACKLOG = 2048

log = logging.getLogger("predictor")


class PortError(WarmstartError):
    """A port cannot be listened on."""


class _HttpServer(uvicorn.Server):
    """Stops when it is told to, by ``should_exit`` alone: signals are the whole process's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(settings: Settings, loads: Loads, start: Start) -> int:
    """Serve until SIGTERM, or until no model could be loaded; the process's exit code.

    The ports are open while the models load, so that being alive can be told from being ready.

    Args:
        settings: the server's own.
        loads: each model's settings, and its load, which is under way.
        start: what the start has come to so far.

    Raises:
        PortError: a port is taken.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    loop_factory = uvicorn.Config("", loop="auto", log_config=None).get_loop_factory()
    loop = loop_factory() if loop_factory else asyncio.new_event_loop()
    try:
        return loop.run_until_complete(_serve(settings, loads, start))
    finally:
        loop.close()


async def _serve(settings: Settings, loads: Loads, start: Start) -> int:
    loading = {ServedModel(each): future for each, future in loads}
    models = {served.name: served for served in loading}
    http = _HttpServer(
        uvicorn.Config(
            RestApp(models, KServeApp(settings, models.values())),
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=settings.enable_latency_logging,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with _listen(settings.http_port) as listener:
        grpc = None
        if settings.enable_grpc:
            grpc = _grpc_server(models, settings.grpc_port)
            await grpc.start()
        http_task = asyncio.create_task(http.serve(sockets=[listener]))
        start.mark("listening")
        code = await _until_stopped(loading, stop, start)
        for served in loading:
            served.drain()
        http.should_exit = True
        await asyncio.gather(http_task, *([grpc.stop(GRACE_SECONDS)] if grpc else []))
    for served in loading:
        await asyncio.to_thread(served.stop)
    return code


async def _until_stopped(
    loading: Mapping[ServedModel, Future[LoadedModel]], stop: asyncio.Event, start: Start
) -> int:
    stopping = asyncio.create_task(stop.wait())
    loaded = asyncio.create_task(_all_loaded(loading))
    waited_for: list[asyncio.Task[Any]] = [loaded, stopping]
    await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
    if loaded.done():
        if not loaded.result():
            stopping.cancel()
            return 1
        start.mark("ready")
        metrics.record_start(start.seconds)
        event(log, "started", **{f"{name}_at": round(s, 3) for name, s in start.seconds.items()})
        await asyncio.to_thread(process.release_memory)
    await stopping
    loaded.cancel()
    event(log, "stopping", models=[served.name for served in loading])
    return 0


async def _all_loaded(loading: Mapping[ServedModel, Future[LoadedModel]]) -> bool:
    """Serve each model when its load is done; whether there is any."""
    results = await asyncio.gather(*map(_serve_when_loaded, loading, loading.values()))
    return any(results)


async def _serve_when_loaded(served: ServedModel, loading: Future[LoadedModel]) -> bool:
    try:
        served.serve(await asyncio.wrap_future(loading))
    except WarmstartError as error:
        served.fail()
        log.error("%s did not become ready: %s", served.name, error)
        return False
    except Exception:
        served.fail()
        log.exception("%s did not become ready", served.name)
        return False
    return True


def _listen(port: int) -> socket.socket:
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(
                ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG
            )
        return socket.create_server(("0.0.0.0", port), backlog=BACKLOG)  # noqa: S104
    except OSError as error:
        raise PortError(f"port {port} cannot be listened on: {error.strerror}") from error


def _grpc_server(models: dict[str, ServedModel], port: int) -> Any:
    try:
        return grpc_server(models, port)
    except RuntimeError as error:
        raise PortError(f"port {port} cannot be listened on for gRPC: {error}") from error
