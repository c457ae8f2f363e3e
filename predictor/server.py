"""Runs REST and gRPC for the models, from opening the ports to the last answer."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn

from predictor import process
from predictor.drain import Ports, drain
from predictor.grpc.service import grpc_server
from predictor.kserve_model.app import KServeApp
from predictor.listener import listen
from predictor.model_metrics import MODELS
from predictor.rest.app import RestApp
from predictor.rest.http.protocol import RefusingProtocol
from predictor.serving.model import Model
from predictor.serving.repository import Repository
from predictor.serving.server_state import ServerState
from predictor.telemetry import metrics, tracing
from predictor.telemetry.requests import RequestRecorder
from storage_init.base.errors import WarmstartError
from storage_init.base.logs import event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Future

    from predictor.engine.tokenizer_cache import TokenizerCache
    from predictor.loading.load import LoadedModel
    from predictor.serving.repository import Loads
    from predictor.settings import Settings
    from predictor.telemetry.startup import Start

KEEP_ALIVE_SECONDS = 65
# Time to tell the clients of requests that were cut off.
CUT_OFF_SECONDS = 1

log = logging.getLogger("predictor")


class _HttpServer(uvicorn.Server):
    """Stops by ``should_exit`` alone; the process handles signals itself."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(
    settings: Settings, loads: Loads, start: Start, tokenizers: TokenizerCache | None = None
) -> int:
    """Serve until SIGTERM, or until every load has failed; returns the process's exit code.

    The ports open before the models are loaded, so that probes can tell live from ready.

    Args:
        settings: the server's own.
        loads: each model's settings and its load in progress. Finished loads are removed; the
            loads that remain at the end are still running.
        start: the phases of the start so far.
        tokenizers: shared by the models.

    Raises:
        PortError: a port is taken.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    loop_factory = uvicorn.Config("", loop="auto", log_config=None).get_loop_factory()
    loop = loop_factory() if loop_factory else asyncio.new_event_loop()
    try:
        return loop.run_until_complete(_serve(settings, loads, start, tokenizers))
    finally:
        loop.close()


async def _serve(
    settings: Settings, loads: Loads, start: Start, tokenizers: TokenizerCache | None
) -> int:
    models = Repository([Model(each) for each, _ in loads], settings, loads, tokenizers)
    MODELS.watch(models)
    recorder = RequestRecorder(
        models, logs=settings.enable_latency_logging, tracer=tracing.from_environment()
    )
    state = ServerState(models, recorder, start)
    metrics.PENDING_BYTES.set_function(lambda: state.bodies.held)
    http = _http_server(RestApp(state, KServeApp(settings, models.values())), state)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with listen(settings.http_port) as listener:
        grpc = None
        if settings.enable_grpc:
            grpc = grpc_server(state, settings.grpc_port)
            await grpc.start()
        http_task = asyncio.create_task(http.serve(sockets=[listener]))
        start.mark("listening")
        code = await _until_stopped(models, loads, stop, start)
        models.stop_changes()
        # A server without a ready model gets no traffic, so there are no clients to redirect.
        delay = settings.drain_seconds if any(m.ready for m in models.values()) else 0
        for served in models.values():
            served.drain()
        ports = Ports(listener, http, grpc)
        cut_off = await drain(ports, state.in_flight, delay=delay, grace=settings.grace_seconds)
        await http_task
    if cut_off:
        log.warning("%d requests were cut off (--grace_seconds)", cut_off)
    for served in models.values():
        await asyncio.to_thread(served.stop)
    return code


def _http_server(app: RestApp, state: ServerState) -> _HttpServer:
    protocol: Any = partial(
        RefusingProtocol,
        in_flight=state.in_flight,
        receive_seconds=state.settings.max_receive_seconds,
    )
    return _HttpServer(
        uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=CUT_OFF_SECONDS,
        )
    )


async def _until_stopped(
    models: Repository, loads: Loads, stop: asyncio.Event, start: Start
) -> int:
    stopping = asyncio.create_task(stop.wait())
    loaded = asyncio.create_task(_all_loaded(models, loads))
    waited_for: list[asyncio.Task[Any]] = [loaded, stopping]
    await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
    if loaded.done():
        if not loaded.result():
            stopping.cancel()
            return 1
        start.mark("ready")
        metrics.record_start(start.seconds)
        event(log, "started", **{f"{name}_at": round(s, 3) for name, s in start.seconds.items()})
        await asyncio.to_thread(process.settle)
    await stopping
    loaded.cancel()
    event(log, "stopping", models=list(models))
    return 0


async def _all_loaded(models: Mapping[str, Model], loads: Loads) -> bool:
    """Serve each model once it is loaded; returns whether any load succeeded."""
    mine = [(models[settings.model_name], load) for settings, load in loads]
    results = await asyncio.gather(*(_serve_when_loaded(*each, loads) for each in mine))
    return any(results)


async def _serve_when_loaded(served: Model, load: Future[LoadedModel], loads: Loads) -> bool:
    try:
        served.serve(await asyncio.wrap_future(load))
    except WarmstartError as error:
        served.fail(str(error))
        log.error("%s did not become ready: %s", served.name, error)
        return False
    except Exception as error:
        # For example out of memory; the other models are still served.
        served.fail(f"{type(error).__name__}: {error}")
        log.exception("%s did not become ready", served.name)
        return False
    finally:
        if load.done():
            # The load would keep an unloaded model in memory.
            loads.remove((served.settings, load))
    return True
