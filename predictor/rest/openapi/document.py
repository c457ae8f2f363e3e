"""The OpenAPI document of the REST interface, for Swagger UI and for generators of clients.

Paths and methods come from the table of routes; operations are named as the routes' handlers.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from predictor.engine.tasks.text_embedding import TextEmbeddingTask
from predictor.engine.tasks.text_ranking import TextRankingTask
from predictor.protocol.metadata import server_metadata
from predictor.rest.inference.openai import PREFIX
from predictor.rest.inference.task_requests import models_for
from predictor.rest.openapi.models import inference
from predictor.rest.openapi.schema import (
    COUNT,
    FLAG,
    INFERENCE,
    Operation,
    array,
    body,
    enum,
    obj,
    one_of,
    reference,
)
from predictor.rest.openapi.tasks import BOOK, DOCUMENTS, FILM, QUERY, TRUNCATION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from predictor.rest.openapi.schema import Schema
    from predictor.rest.router import Route
    from predictor.serving.model import Model

    Operations = dict[str, Operation]

STATES = ["READY", "LOADING", "UNLOADING", "UNAVAILABLE"]
READY = obj(name="string", ready="boolean")
USAGE = obj(prompt_tokens="integer", total_tokens="integer")
MODEL = obj(id="string", object="string", created="integer", owned_by="string")
DOCUMENT = one_of("string", obj("text", text="string"))
TENSOR = obj(*("name", "datatype", "shape"), name="string", datatype="string", shape=["integer"])
OUTPUT = obj(
    "name", name="string", datatype="string", shape=["integer"], data=[{}], parameters="object"
)
RESULT = obj("index", "relevance_score", index="integer", relevance_score="number")
SCHEMAS = {
    "error": obj("error", error="string"),
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
    "openai_error": obj("error", error=obj("message", "type", message="string", type="string")),
    "ranking": one_of(
        obj("results", id="string", model="string", results=[RESULT], usage=USAGE),
        [obj("index", "score", index="integer", score="number", text="string")],
    ),
}


def document(models: Mapping[str, Model], routes: Sequence[Route]) -> Schema:
    """OpenAPI 3.0 of these routes; a model that is not loaded has only routes that say so."""
    paths: Schema = {}
    for named, group in groupby(routes, key=lambda route: "name" in route.fields):
        rows = list(group)
        for fields, sections in map(_of_model, models.values()) if named else [_of_server(models)]:
            for tag, operations in sections.items():
                for route in rows:
                    operation = operations.get(route.handler.__name__)
                    if operation and route.fields <= fields.keys():
                        described = operation.described(route.method, _error(route), tag)
                        paths[route.path(**fields)] = {route.method.lower(): described}
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Warmstart",
            "version": server_metadata()["version"],
            "description": "Prepared models over the Open Inference Protocol V2, V1, and the "
            "routes of OpenAI's, Cohere's and text-embeddings-inference's clients.",
        },
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }


def _error(route: Route) -> Schema:
    return reference("openai_error" if route.template.startswith(PREFIX) else "error")


def _of_server(models: Mapping[str, Model]) -> tuple[dict[str, str], dict[str, Operations]]:
    """The operations of paths without a model's name, by section and handler."""
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
    }
    row = obj(name="string", version="string", state=enum(STATES), reason="string")
    titles = {"all": {}, "those that are ready": {"ready": True}}
    wanted = body("Which of them.", obj(ready="boolean"), titles, required=False)
    index = Operation("Models, loaded and not", [row], ["400", "413", "500"], wanted)
    listed = obj(object="string", data=[MODEL])
    clients = {"list_models": Operation("Models that are ready (OpenAI)", listed)}
    if embedders := [model.name for model in models_for(models, TextEmbeddingTask)]:
        clients["embeddings"] = _embeddings(embedders)
    if rerankers := [model.name for model in models_for(models, TextRankingTask)]:
        clients["rerank"] = _rerank(rerankers)
    return {}, {"server": server, "model repository": {"index": index}, "other clients": clients}


def _of_model(model: Model) -> tuple[dict[str, str], dict[str, Operations]]:
    """The fields of a model's paths, and their operations by section and handler."""
    name, loaded = model.name, model.loaded if model.is_loaded else None
    refusals = ["404", "409", "413", "429", "500", "503"]
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
    sections = {"model repository": repository, "other clients": clients}
    if loaded is None:
        return {"name": name}, {**sections, name: readiness}
    own = {
        "model_metadata": Operation(f"{name} metadata", reference("model"), ["404", "503"]),
        "explain": Operation(f"{name} has no explainer", None, ["404", "501", "503"]),
        **inference(name, loaded.engine),
    }
    return {"name": name, "version": loaded.version}, {**sections, name: readiness | own}


def _embeddings(names: list[str]) -> Operation:
    model = names[0]
    ids = array({"type": "integer", "minimum": 0}, minItems=1)
    texts = one_of("string", array("string", minItems=1), ids, array(ids, minItems=1))
    form = obj(
        *_required(names, "input"),
        model=enum(names),
        input=texts | {"description": "texts, or token ids, which are run as they are"},
        encoding_format=enum(["float", "base64"]),
        dimensions=COUNT,
        prompt_name="string",
        truncation=TRUNCATION,
    )
    examples = {
        "texts": {"model": model, "input": [FILM, BOOK]},
        "one text in base64": {"model": model, "input": FILM, "encoding_format": "base64"},
        "token ids": {"model": model, "input": [[1, 2, 3], [1, 2]]},
    }
    row = obj(object="string", index="integer", embedding=one_of(["number"], "string"))
    answer = obj(object="string", data=[row], model="string", usage=USAGE)
    request = body("Texts, or token ids.", form, examples)
    return Operation("Embeddings (OpenAI)", answer, INFERENCE, request)


def _rerank(names: list[str]) -> Operation:
    cohere = obj(
        *_required(names, "query", "documents"),
        query="string",
        documents=array(DOCUMENT, minItems=1),
        model=enum(names),
        top_n=COUNT,
        return_documents=FLAG,
    )
    tei = obj(
        *_required(names, "query", "texts"),
        query="string",
        texts=array("string", minItems=1),
        model=enum(names),
        raw_scores=FLAG,
        return_text=FLAG,
        truncate={"type": "boolean", "default": True},
    )
    asked = {"model": names[0], "query": QUERY}
    examples = {
        "Cohere": {**asked, "documents": DOCUMENTS, "top_n": 1, "return_documents": True},
        "text-embeddings-inference": {**asked, "texts": DOCUMENTS, "return_text": True},
    }
    request = body("Documents.", {"anyOf": [cohere, tei]}, examples)
    title = "Rank documents (Cohere, text-embeddings-inference)"
    return Operation(title, reference("ranking"), INFERENCE, request)


def _required(models: list[str], *fields: str) -> Sequence[str]:
    """Several models require the field that names one."""
    return fields if len(models) == 1 else ("model", *fields)
