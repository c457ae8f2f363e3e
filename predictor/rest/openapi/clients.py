"""The routes of OpenAI's, Cohere's and text-embeddings-inference's clients, as OpenAPI paths.

Embeddings and reranking are there where a model that is ready is for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from predictor.engine.tasks.text_embedding import TextEmbeddingTask
from predictor.engine.tasks.text_ranking import TextRankingTask
from predictor.rest.inference.openai import EMBEDDINGS, MODELS, PREFIX
from predictor.rest.inference.rerank import PATHS
from predictor.rest.inference.task_models import models_for
from predictor.rest.openapi.schema import (
    BOOLEAN,
    COUNT,
    INFERENCE,
    INTEGER,
    NUMBER,
    STRING,
    array,
    content,
    get,
    obj,
    one_of_names,
    post,
    reference,
)
from predictor.rest.openapi.tasks import DOCUMENTS, FILM, FLAG, TRUNCATION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from predictor.rest.openapi.schema import Schema
    from predictor.serving.model import Model

QUERY = "Is the film good?"
USAGE = obj(prompt_tokens=INTEGER, total_tokens=INTEGER)
MODEL = obj(id=STRING, object=STRING, created=INTEGER, owned_by=STRING)
DOCUMENT = {"oneOf": [STRING, obj(required=["text"], text=STRING)]}


def client_paths(models: Mapping[str, Model]) -> Schema:
    """Those that are of use with these models."""
    ready = [model.name for model in models.values() if model.ready]
    paths: Schema = {
        MODELS: get("Models that are ready (OpenAI)", obj(object=STRING, data=array(MODEL)))
    }
    paths |= {f"{MODELS}/{name}": get(f"{name} (OpenAI)", MODEL) for name in ready}
    if embedders := [model.name for model in models_for(models, TextEmbeddingTask)]:
        paths[EMBEDDINGS] = {"post": _embeddings(embedders)}
    if rerankers := [model.name for model in models_for(models, TextRankingTask)]:
        paths |= {path: {"post": _rerank(path, rerankers)} for path in PATHS}
    return paths


def client_schemas() -> Schema:
    """What these paths refer to."""
    told = obj(required=["message", "type"], message=STRING, type=STRING)
    result = obj(required=["index", "relevance_score"], index=INTEGER, relevance_score=NUMBER)
    results = obj(required=["results"], id=STRING, model=STRING, results=array(result), usage=USAGE)
    score = obj(required=["index", "score"], index=INTEGER, score=NUMBER, text=STRING)
    return {
        "openai_error": obj(required=["error"], error=told),
        "ranking": {"oneOf": [results, array(score)]},
    }


def _embeddings(names: list[str]) -> Schema:
    ids = array(INTEGER | {"minimum": 0}, minItems=1)
    body = obj(
        required=_required(names, "input"),
        model=one_of_names(names),
        input={
            "oneOf": [STRING, array(STRING, minItems=1), ids, array(ids, minItems=1)],
            "description": "texts, or token ids, which are run as they are",
        },
        encoding_format=one_of_names(["float", "base64"]),
        dimensions=COUNT,
        prompt_name=STRING,
        truncation=TRUNCATION,
    )
    model = names[0]
    examples = {
        "texts": {"model": model, "input": [FILM, "What a bad book."]},
        "one text in base64": {"model": model, "input": FILM, "encoding_format": "base64"},
        "token ids": {"model": model, "input": [[1, 2, 3], [1, 2]]},
    }
    vector = {"oneOf": [array(NUMBER), STRING]}
    row = obj(object=STRING, index=INTEGER, embedding=vector)
    answer = obj(object=STRING, data=array(row), model=STRING, usage=USAGE)
    return post(
        "Embeddings (OpenAI)",
        content("Texts, or token ids.", body, examples=examples) | {"required": True},
        answer,
        *INFERENCE,
        error="openai_error",
    )


def _rerank(path: str, names: list[str]) -> Schema:
    cohere = obj(
        required=_required(names, "query", "documents"),
        query=STRING,
        documents=array(DOCUMENT, minItems=1),
        model=one_of_names(names),
        top_n=COUNT,
        return_documents=FLAG,
    )
    tei = obj(
        required=_required(names, "query", "texts"),
        query=STRING,
        texts=array(STRING, minItems=1),
        model=one_of_names(names),
        raw_scores=FLAG,
        return_text=FLAG,
        truncate=BOOLEAN | {"default": True},
    )
    asked: dict[str, Any] = {"model": names[0], "query": QUERY}
    examples = {
        "Cohere": {**asked, "documents": DOCUMENTS, "top_n": 1, "return_documents": True},
        "text-embeddings-inference": {**asked, "texts": DOCUMENTS, "return_text": True},
    }
    return post(
        "Rank documents (Cohere, text-embeddings-inference)",
        content("Documents.", {"anyOf": [cohere, tei]}, examples=examples) | {"required": True},
        reference("ranking"),
        *INFERENCE,
        error="openai_error" if path.startswith(PREFIX) else "error",
    )


def _required(models: list[str], *fields: str) -> list[str]:
    """The model must be named where there are several."""
    return [*fields] if len(models) == 1 else ["model", *fields]
