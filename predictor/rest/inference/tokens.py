"""text-embeddings-inference's tokens of texts, and texts of tokens; no inference runs.

Source: text-embeddings-inference, ``router/src/http``.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from predictor.engine.tasks.text_embedding import TextEmbeddingTask
from predictor.errors import InvalidRequestError, TooLargeError
from predictor.protocol.parameters import Parameters
from predictor.protocol.types import Texts
from predictor.rest.http.request import decode_json
from predictor.rest.http.response import Reply, json_reply
from predictor.rest.inference.task_requests import Ids, Strings, only_model
from predictor.telemetry.requests import REST_TEI

if TYPE_CHECKING:
    from predictor.engine.tasks.base import Task
    from predictor.rest.http.request import Client
    from predictor.serving.server_state import ServerState
    from storage_init.running.tokenizer import Tokenizer

    Token = dict[str, Any]

# Characters, or ids, of one request to tokenise or to decode: a token in JSON is 50 times as long.
MAX_TOKENIZED = 64 * 1024


class TokenizeRequest(msgspec.Struct):
    inputs: str | Strings
    add_special_tokens: bool | None = None
    prompt_name: str | None = None


class DecodeRequest(msgspec.Struct):
    ids: Annotated[list[int | Ids], msgspec.Meta(min_length=1)]
    skip_special_tokens: bool | None = None


async def tokenize(state: ServerState, client: Client, name: str | None = None) -> Reply:
    with state.recorder.begin(name or "", REST_TEI, client.headers) as recording:
        deadline = client.deadline
        asked = decode_json(await client.body(), TokenizeRequest, "a tokenize request")
        model = only_model(state.models, name)
        recording.about(model.name)
        texts = [asked.inputs] if isinstance(asked.inputs, str) else asked.inputs
        _check_size(sum(map(len, texts)), "characters")
        engine = model.loaded.engine
        if asked.prompt_name is not None:
            texts = _prompted(engine.task, texts, asked.prompt_name)
        special = asked.add_special_tokens is not False

        def work() -> list[list[Token]]:
            return [_tokens(engine.tokenizer, text, special=special) for text in texts]

        tokens = await model.current.run_beside(work, deadline)
        recording.answered()
        return json_reply(tokens)


async def decode(state: ServerState, client: Client, name: str | None = None) -> Reply:
    with state.recorder.begin(name or "", REST_TEI, client.headers) as recording:
        deadline = client.deadline
        asked = decode_json(await client.body(), DecodeRequest, "a decode request")
        model = only_model(state.models, name)
        recording.about(model.name)
        flat = [each for each in asked.ids if isinstance(each, int)]
        rows = [each for each in asked.ids if isinstance(each, list)]
        if bool(flat) == bool(rows):
            raise InvalidRequestError('"ids" must be a list of ids, or of lists of ids')
        rows = rows or [flat]
        _check_size(sum(map(len, rows)), "ids")
        tokenizer, skip = model.loaded.engine.tokenizer, asked.skip_special_tokens is not False
        most = tokenizer.vocabulary_size
        if not all(0 <= each < most for row in rows for each in row):
            raise InvalidRequestError(f'"ids" must lie between 0 and {most - 1}')

        def work() -> list[str]:
            return list(tokenizer.model.decode_batch(rows, skip_special_tokens=skip))

        texts = await model.current.run_beside(work, deadline)
        recording.answered()
        return json_reply(texts)


def _prompted(task: Task, texts: list[str], name: str) -> list[str]:
    if not isinstance(task, TextEmbeddingTask):
        raise InvalidRequestError("only embedders have prompts")
    return [*task.preprocess(Texts(texts), Parameters.parse({"prompt_name": name})).texts]


def _check_size(count: int, what: str) -> None:
    if not count:
        raise InvalidRequestError(f"there are no {what}")
    if count > MAX_TOKENIZED:
        raise TooLargeError(f"{count} {what} are more than the {MAX_TOKENIZED} of one request")


def _tokens(tokenizer: Tokenizer, text: str, *, special: bool) -> list[Token]:
    """All tokens of a text; places are bytes of it, as TEI counts them."""
    encoding = tokenizer.model.encode(text, add_special_tokens=False)
    places = list(accumulate((len(character.encode()) for character in text), initial=0))
    made = [
        {"id": id_, "text": text[a:b], "special": False, "start": places[a], "stop": places[b]}
        for part in (encoding, *encoding.overflowing)
        for id_, (a, b) in zip(part.ids, part.offsets, strict=True)
    ]
    if not special:
        return made
    first, last = ([_special(tokenizer, id_) for id_ in ids] for ids in tokenizer.frame)
    return [*first, *made, *last]


def _special(tokenizer: Tokenizer, id_: int) -> Token:
    text = tokenizer.model.id_to_token(id_)
    return {"id": id_, "text": text, "special": True, "start": None, "stop": None}
