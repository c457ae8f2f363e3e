"""The forms of a refusal's body, one for each kind of client.

Sources: OpenAI's API reference, "Errors"; Cohere's, "Errors"; text-embeddings-inference,
``router/src/lib.rs``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from predictor.errors import OverloadedError, UnknownModelError
from predictor.rest.http.response import refusal
from predictor.rest.router import OPENAI_PREFIX

if TYPE_CHECKING:
    from predictor.errors import RequestError
    from predictor.rest.http.response import Reply
    from predictor.rest.router import Match

TEI_TYPES = {413: "Validation", 429: "Overloaded", 503: "Unhealthy"}


def openai(error: RequestError) -> dict[str, Any]:
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    if error.status == OverloadedError.status:
        kind = "rate_limit_error"
    code = "model_not_found" if isinstance(error, UnknownModelError) else None
    return {"error": {"message": str(error), "type": kind, "param": None, "code": code}}


def cohere(error: RequestError) -> dict[str, Any]:
    return {"message": str(error)}


def tei(error: RequestError) -> dict[str, Any]:
    kind = TEI_TYPES.get(error.status, "Validation" if error.status < 500 else "Backend")
    return {"error": str(error), "error_type": kind}


def refusal_at(match: Match | None, path: str, error: RequestError) -> Reply:
    """The refusal of a request, in the form of its route's clients."""
    form = match.route.error_form if match else None
    if match is None and path.startswith(OPENAI_PREFIX):
        form = openai
    return refusal(error, form(error) if form else None)
