"""The REST interface as an OpenAPI document, with the inputs and outputs of the models that are
served: what Swagger UI shows, and what generators of clients and of tests read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from predictor.protocol.metadata import server_metadata
from predictor.rest.openapi.clients import client_paths, client_schemas
from predictor.rest.openapi.models import model_paths
from predictor.rest.openapi.schema import (
    BOOLEAN,
    INTEGER,
    OBJECT,
    STRING,
    array,
    content,
    get,
    obj,
    one_of_names,
    post,
    reference,
    tagged,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from predictor.rest.openapi.schema import Schema
    from predictor.serving.model import Model

HTML = "text/html"
STATES = ["READY", "LOADING", "UNLOADING", "UNAVAILABLE"]


def document(models: Mapping[str, Model], *, docs: bool = False) -> Schema:
    """OpenAPI 3.0 for these models; of one that is not ready it tells that it is not.

    ``docs``: whether there is a page that shows it.
    """
    paths = (
        tagged("server", _server_paths(docs=docs))
        | tagged("model repository", _repository_paths([*models]))
        | tagged("other clients", client_paths(models))
    )
    for name, model in models.items():
        paths |= tagged(name, model_paths(model))
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Warmstart",
            "version": server_metadata()["version"],
            "description": "Prepared models over the Open Inference Protocol V2, V1, and the "
            "routes of OpenAI's, Cohere's and text-embeddings-inference's clients.",
        },
        "paths": paths,
        "components": {"schemas": _schemas() | client_schemas()},
    }


def _server_paths(*, docs: bool) -> Schema:
    metadata = get("Server metadata", reference("server"))
    names = get("Names of the models", obj(models=array(STRING)))
    paths = {
        "/": get("Server live (V1)", obj(status=STRING)),
        "/v1/models": names,
        "/v2": metadata,
        "/v2/": metadata,
        "/v2/models": names,
        "/v2/health/live": get("Server live", obj(live=BOOLEAN)),
        "/v2/health/ready": get("Server ready", obj(ready=BOOLEAN), "503"),
        "/status": get("What is served and why", OBJECT),
        "/metrics": get("Figures for Prometheus", STRING, media_type="text/plain"),
        "/openapi.json": get("This document", OBJECT),
    }
    page = get("This document as a page", STRING, media_type=HTML)
    return paths | {"/docs": page} if docs else paths


def _repository_paths(names: list[str]) -> Schema:
    index = content(
        "Which of them.",
        obj(ready=BOOLEAN),
        examples={"all": {}, "those that are ready": {"ready": True}},
    )
    row = obj(name=STRING, version=STRING, state=one_of_names(STATES), reason=STRING)
    paths = {
        "/v2/repository/index": {
            "post": post("Models, loaded and not", index, array(row), "400", "413", "500")
        }
    }
    for name in names:
        for change, told in _changes(name).items():
            paths[f"/v2/repository/models/{name}/{change}"] = {"post": told}
    return paths


def _changes(name: str) -> Schema:
    refusals = ("404", "409", "413", "500", "503")
    loaded = obj(name=STRING, load=BOOLEAN, version=STRING)
    unloaded = obj(name=STRING, unload=BOOLEAN)
    return {
        "load": post(f"Serve what the folder of {name} holds now", None, loaded, *refusals),
        "unload": post(f"Serve {name} no more", None, unloaded, *refusals),
    }


def _schemas() -> Schema:
    shape = array(INTEGER)
    tensor = obj(name=STRING, datatype=STRING, shape=shape, required=["name", "datatype", "shape"])
    output = obj(
        name=STRING,
        datatype=STRING,
        shape=shape,
        data=array({}),
        parameters=OBJECT,
        required=["name"],
    )
    return {
        "error": obj(error=STRING, required=["error"]),
        "server": obj(
            name=STRING, version=STRING, extensions=array(STRING), required=["name", "version"]
        ),
        "model": obj(
            name=STRING,
            versions=array(STRING),
            platform=STRING,
            inputs=array(tensor),
            outputs=array(tensor),
            required=["name", "platform"],
        ),
        "answer": obj(
            model_name=STRING,
            model_version=STRING,
            id=STRING,
            outputs=array(output),
            required=["model_name", "outputs"],
        ),
    }
