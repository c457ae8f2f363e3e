"""The requests of other protocols' clients; their schemas are those of the types they decode to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from predictor.engine.tasks.text_embedding import TextEmbeddingTask
from predictor.rest.inference import cohere, hugging_face, openai, rerank, tei
from predictor.rest.openapi.schema import (
    INFERENCE,
    NULL,
    Operation,
    any_of,
    array,
    body,
    enum,
    nullable,
    obj,
    reference,
)
from predictor.rest.openapi.tasks import BOOK, DOCUMENTS, FILM, QUERY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from predictor.engine.engine import Engine
    from predictor.rest.inference.task_requests import TaskRequest
    from predictor.rest.openapi.schema import Form, Schema

USAGE = obj(prompt_tokens="integer", total_tokens="integer")
MODEL = obj("id", id="string", object="string", created="integer", owned_by="string")
LIST = obj("models", "data", models=["string"], object="string", data=[MODEL])
VECTOR: Form = ["number"]
LABELS: Form = [obj("label", "score", label="string", score="number")]
RESULT = obj("index", "relevance_score", index="integer", relevance_score="number")
RANKING = any_of(
    obj("results", id="string", model="string", results=[RESULT], usage=USAGE),
    [obj("index", "score", index="integer", score="number", text="string")],
)
EMBEDDING = obj(object="string", index="integer", embedding=any_of(VECTOR, "string"))
EMBEDDINGS = obj("data", object="string", data=[EMBEDDING], model="string", usage=USAGE)
BY_TYPE = obj(float=[VECTOR], base64=["string"])
COHERE = obj("embeddings", id="string", embeddings=any_of([VECTOR], BY_TYPE), texts=["string"])
SENTENCES = {"source_sentence": FILM, "sentences": [BOOK, FILM]}
IDS: Schema = array({"type": "integer", "minimum": 0}, minItems=1)
INPUT = any_of("string", array("string", minItems=1), IDS, array(IDS, minItems=1))

_REFERENCE = "#/components/schemas/{name}"


class Described(NamedTuple):
    """A kind of request: its examples without the model, and what its type does not say.

    ``properties`` replace those of the type; ``rules`` are about several properties.
    """

    summary: str
    answer: Form
    examples: Mapping[str, Any]
    properties: Mapping[str, Schema] = {}
    rules: Mapping[str, Any] = {}


def _one_of_both(first: str, second: str) -> Schema:
    """One of two properties is an array, the other null or absent."""
    return any_of(
        *(
            obj(one) | {"properties": {one: {"type": "array"}, other: NULL}}
            for one, other in ((first, second), (second, first))
        )
    )


_RERANK = Described(
    "Rank documents (Cohere, Jina, Voyage, Infinity, text-embeddings-inference)",
    reference("ranking"),
    {
        "Cohere": {"query": QUERY, "documents": DOCUMENTS, "top_n": 1, "return_documents": True},
        "text-embeddings-inference": {"query": QUERY, "texts": DOCUMENTS, "return_text": True},
        "Voyage": {"query": QUERY, "documents": DOCUMENTS, "top_k": 1, "truncation": True},
    },
    rules=_one_of_both("documents", "texts"),
)
_COHERE = Described(
    "Embeddings (Cohere)",
    COHERE,
    {"texts": {"texts": [FILM, BOOK]}, "query": {"texts": [FILM], "input_type": "search_query"}},
    rules=any_of(obj("texts", texts="array"), obj("inputs", inputs="array")),
)
_EMBED: dict[str, Any] = {"texts": {"inputs": [FILM, BOOK]}, "text": {"inputs": FILM}}
_PREDICT: dict[str, Any] = {
    "text": {"inputs": FILM},
    "texts": {"inputs": [[FILM], [BOOK]]},
    "pair": {"inputs": [FILM, BOOK], "raw_scores": True},
}
KINDS: dict[type[TaskRequest], Described] = {
    openai.EmbeddingsRequest: Described(
        "Embeddings (OpenAI)",
        EMBEDDINGS,
        {
            "texts": {"input": [FILM, BOOK]},
            "one text in base64": {"input": FILM, "encoding_format": "base64"},
        },
        {"input": INPUT | {"description": "texts, or token ids with the model's special tokens"}},
    ),
    rerank.RerankRequest: _RERANK,
    rerank.InfinityRerankRequest: _RERANK,
    cohere.CohereEmbedRequest: _COHERE,
    cohere.CohereEmbedV2Request: _COHERE,
    tei.EmbedRequest: Described(
        "Embeddings (text-embeddings-inference)", [VECTOR], _EMBED, {"inputs": INPUT}
    ),
    tei.SimilarityRequest: Described(
        "Cosine similarity (text-embeddings-inference)", VECTOR, {"texts": {"inputs": SENTENCES}}
    ),
    tei.PredictRequest: Described(
        "Classify (text-embeddings-inference)", any_of(LABELS, [LABELS]), _PREDICT
    ),
    hugging_face.FeaturesRequest: Described(
        "Embeddings or similarity (huggingface_hub's InferenceClient)",
        any_of([VECTOR], VECTOR),
        {**_EMBED, "similarity": {"inputs": SENTENCES}},
        {"inputs": any_of(INPUT, reference("Sentences"))},
    ),
    hugging_face.ClassificationRequest: Described(
        "Classify (huggingface_hub's InferenceClient)",
        any_of(LABELS, [LABELS]),
        {**_PREDICT, "best label": {"inputs": FILM, "parameters": {"top_k": 1}}},
    ),
}


def components() -> dict[str, Schema]:
    """The schemas of the parts of requests."""
    _, found = msgspec.json.schema_components([*KINDS], ref_template=_REFERENCE)
    parts = found.keys() - {kind.__name__ for kind in KINDS}
    return {name: found[name] for name in parts} | {"ranking": RANKING}


def client_operation(
    kind: type[TaskRequest],
    models: Mapping[str, Engine],
    *,
    parameters: Schema | None = None,
    named: bool = False,
) -> Operation:
    """The operation of a kind of request.

    Args:
        kind: of the request.
        models: those that answer, by name.
        parameters: the schema of the property of that name, where the type leaves it open.
        named: whether the path names the model.
    """
    described = KINDS[kind]
    _, found = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
    form = found[kind.__name__]
    properties = form["properties"] | dict(described.properties)
    if parameters is not None and "parameters" in properties:
        properties["parameters"] = nullable(parameters)
    if "prompt_name" in properties:
        properties["prompt_name"] = prompt_names(models.values())
    required, asked = form["required"], {}
    if not named:
        names = enum([*models])
        properties["model"] = names if len(models) > 1 else nullable(names)
        required = [*required, *(["model"] if len(models) > 1 else [])]
        asked = {"model": next(iter(models))}
    examples = {title: {**asked, **example} for title, example in described.examples.items()}
    schema = {"type": "object", "properties": properties, "required": required}
    request = body(described.summary, schema | dict(described.rules), examples)
    return Operation(described.summary, described.answer, INFERENCE, request)


def prompt_names(engines: Iterable[Engine]) -> Schema:
    """The names of these models' prompts."""
    tasks = [each.task for each in engines if isinstance(each.task, TextEmbeddingTask)]
    names = dict.fromkeys(name for task in tasks for name in task.prompts)
    return nullable(enum([*names])) if names else NULL
