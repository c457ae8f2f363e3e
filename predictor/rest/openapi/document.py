"""The OpenAPI document of the REST interface, for Swagger UI and for generators of clients.

Paths and methods come from the table of routes; operations are named as the routes' handlers, or
made of the type of the requests.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from predictor.protocol.metadata import server_metadata
from predictor.rest.inference import errors
from predictor.rest.openapi.clients import LIST, MODEL, client_operation, components
from predictor.rest.openapi.models import inference
from predictor.rest.openapi.schema import (
    BODY,
    INFERENCE,
    Operation,
    body,
    enum,
    nullable,
    obj,
    reference,
)
from predictor.rest.openapi.tokens import health, tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from predictor.engine.engine import Engine
    from predictor.rest.openapi.schema import Schema
    from predictor.rest.router import ErrorForm, Route
    from predictor.serving.model import Model

    Operations = dict[str, Operation]

CLIENTS = "other clients"
STATES = ["READY", "LOADING", "UNLOADING", "UNAVAILABLE"]
READY = obj(name="string", ready="boolean")
TENSOR = obj(*("name", "datatype", "shape"), name="string", datatype="string", shape=["integer"])
OUTPUT = obj(
    "name", name="string", datatype="string", shape=["integer"], data=[{}], parameters="object"
)
STATISTICS = obj(
    "model_stats",
    model_stats=[obj("name", "inference_stats", name="string", inference_stats="object")],
)
SCHEMAS = {
    "error": obj("error", error="string"),
    "openai_error": obj("error", error=obj("message", "type", message="string", type="string")),
    "cohere_error": obj("message", message="string"),
    "tei_error": obj("error", "error_type", error="string", error_type="string"),
    "server": obj("name", "version", name="string", version="string", extensions=["string"]),
    "model": obj(
        *("name", "platform"),
        name="string",
        versions=["string"],
        platform="string",
        inputs=[TENSOR],
        outputs=[TENSOR],
    ),
    "answer": obj(
        *("model_name", "outputs"),
        model_name="string",
        model_version="string",
        id="string",
        outputs=[OUTPUT],
    ),
}
ERRORS: dict[ErrorForm | None, str] = {
    errors.openai: "openai_error",
    errors.cohere: "cohere_error",
    errors.tei: "tei_error",
    None: "error",
}


class _Place(NamedTuple):
    """What routes with these fields answer: operations by section and handler, and for engines."""

    fields: Mapping[str, str]
    sections: Mapping[str, Operations]
    engines: Mapping[str, Engine]

    def operation(self, route: Route) -> tuple[str, Operation] | None:
        """A route's section and its operation; None if nothing here answers it."""
        if not route.fields <= self.fields.keys():
            return None
        if kind := route.request:
            answering = {n: e for n, e in self.engines.items() if isinstance(e.task, kind.task)}
            if not answering:
                return None
            return CLIENTS, client_operation(kind, answering, named="name" in route.fields)
        name = route.handler.__name__
        found = ((tag, known[name]) for tag, known in self.sections.items() if name in known)
        return next(found, None)


def document(models: Mapping[str, Model], routes: Sequence[Route]) -> Schema:
    """OpenAPI 3.1 of these routes; a model that is not loaded has only routes that say so."""
    paths: Schema = {}
    for named, group in groupby(routes, key=lambda route: "name" in route.fields):
        rows = list(group)
        for place in map(_of_model, models.values()) if named else [_of_server(models)]:
            for route in rows:
                if found := place.operation(route):
                    tag, operation = found
                    error = reference(ERRORS[route.error_form])
                    described = operation.described(route.method, error, tag)
                    methods = paths.setdefault(route.path(**place.fields), {})
                    methods[route.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Warmstart",
            "version": server_metadata()["version"],
            "description": "Prepared models over the Open Inference Protocol V2, V1, and the "
            "routes of OpenAI's, Cohere's and text-embeddings-inference's clients.",
        },
        "paths": paths,
        "components": {"schemas": SCHEMAS | components()},
    }


def _of_server(models: Mapping[str, Model]) -> _Place:
    server = {
        "live_v1": Operation("Server live (V1)", obj(status="string"), ["503"]),
        "names": Operation("Names of the models", obj(models=["string"])),
        "metadata": Operation("Server metadata", reference("server")),
        "live": Operation("Server live", obj(live="boolean"), ["503"]),
        "ready": Operation("Server ready", obj(ready="boolean"), ["503"]),
        "status": Operation("What is served and why", "object"),
        "metrics": Operation("Figures for Prometheus", "string", media_type="text/plain"),
        "openapi": Operation("This document", "object"),
        "docs": Operation("This document as a page", "string", media_type="text/html"),
        "all_statistics": Operation("Statistics of the loaded models (Triton)", STATISTICS),
    }
    row = obj(name="string", version="string", state=enum(STATES), reason="string")
    titles = {"all": {}, "those that are ready": {"ready": True}}
    wanted = body("Which of them.", obj(ready=nullable("boolean")), titles, required=False)
    index = Operation("Models, loaded and not", [row], BODY, wanted)
    ready = {name: model.loaded.engine for name, model in models.items() if model.ready}
    clients = {"list_models": Operation("The models (OpenAI, V1)", LIST)}
    if len(ready) == 1:
        ((name, engine),) = ready.items()
        clients |= tokens(name, engine) | {"by_task": inference(name, engine)["by_task"]}
    else:
        unnamed = Operation("Ask the only model; here there are several", None, INFERENCE)
        clients |= {"health": health(), "by_task": unnamed}
    sections = {"server": server, "model repository": {"index": index}, CLIENTS: clients}
    return _Place({}, sections, ready)


def _of_model(model: Model) -> _Place:
    name, loaded = model.name, model.loaded if model.is_loaded else None
    refusals = [*BODY, "404", "409", "503"]
    loading = obj(name="string", load="boolean", version="string")
    unloading = obj(name="string", unload="boolean")
    repository = {
        "load": Operation(f"Serve what the folder of {name} holds now", loading, refusals),
        "unload": Operation(f"Serve {name} no more", unloading, refusals),
    }
    clients = {"describe_model": Operation(f"{name} (OpenAI)", MODEL)} if model.ready else {}
    readiness = {
        "model_ready": Operation(f"{name} ready", READY, ["404", "503"] if loaded else ["503"]),
        "model_ready_v1": Operation(f"{name} ready (V1)", READY, ["503"]),
    }
    sections = {"model repository": repository, CLIENTS: clients, name: readiness}
    if loaded is None:
        return _Place({"name": name}, sections, {})
    found = ["404", "503"]
    sections[name] |= {
        "model_metadata": Operation(f"{name} metadata", reference("model"), found),
        "config": Operation(f"{name} configuration (Triton)", "object", found),
        "statistics": Operation(f"{name} statistics (Triton)", STATISTICS, found),
        "explain": Operation(f"{name} has no explainer", None, [*found, "501"]),
        **inference(name, loaded.engine),
    }
    clients |= tokens(name, loaded.engine)
    fields = {"name": name, "version": loaded.version}
    return _Place(fields, sections, {name: loaded.engine} if model.ready else {})
