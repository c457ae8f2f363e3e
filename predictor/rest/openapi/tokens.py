"""text-embeddings-inference's routes that answer without an inference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from predictor.rest.inference.tokens import DecodeRequest, TokenizeRequest
from predictor.rest.openapi.clients import prompt_names
from predictor.rest.openapi.schema import INFERENCE, Operation, body, nullable, obj
from predictor.rest.openapi.tasks import FILM

if TYPE_CHECKING:
    from predictor.engine.engine import Engine
    from predictor.rest.openapi.schema import Schema

TOKEN = obj(
    *("id", "text", "special"),
    id="integer",
    text="string",
    special="boolean",
    start=nullable("integer"),
    stop=nullable("integer"),
)


def tokens(name: str, engine: Engine) -> dict[str, Operation]:
    """The operations of a model by handler."""
    ids = list(engine.tokenizer.encode([FILM])[0].ids)
    tokenize = _schema(TokenizeRequest)
    tokenize["properties"]["prompt_name"] = prompt_names([engine])
    return {
        "health": health(),
        "info": Operation(f"What {name} is", "object", ("400", "404", "503")),
        "tokenize": Operation(
            f"Tokens of {name}",
            [[TOKEN]],
            INFERENCE,
            body("Texts.", tokenize, {"text": {"inputs": FILM}}),
        ),
        "decode": Operation(
            f"Texts of tokens of {name}",
            ["string"],
            INFERENCE,
            body("Token ids.", _schema(DecodeRequest), {"ids": {"ids": ids}}),
        ),
        "embed_all": Operation(f"{name} has no vector of each token", None, INFERENCE),
        "embed_sparse": Operation(f"{name} has no sparse vectors", None, INFERENCE),
    }


def health() -> Operation:
    """The operation of ``/health``, which answers nothing but its status."""
    return Operation("Ready (text-embeddings-inference)", {}, ("404", "503"), media_type="")


def _schema(kind: type) -> Schema:
    made: Schema = msgspec.json.schema_components([kind])[1][kind.__name__]
    return made
