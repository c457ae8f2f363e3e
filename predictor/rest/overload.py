"""Load shedding: requests that are refused by their head alone, before anything is done for them.

Under overload most are, and what each of them costs is taken from those that are served.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from predictor.engine.tasks.text_embedding import TextEmbeddingTask
from predictor.engine.tasks.text_ranking import TextRankingTask
from predictor.errors import OverloadedError, RequestError
from predictor.rest.http.request import deadline_of
from predictor.rest.inference.openai import EMBEDDINGS, refused_at
from predictor.rest.inference.rerank import PATHS
from predictor.rest.inference.task_models import models_for
from predictor.telemetry.requests import REST_OPENAI, REST_RERANK, REST_V1, REST_V2

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from predictor.rest.http.response import Reply
    from predictor.serving.in_flight import InFlight
    from predictor.serving.model import Model
    from predictor.telemetry.requests import RequestRecorder

INFERENCE = re.compile(r"/v2/models/([^/]+)(?:/versions/[^/]+)?/infer|/v1/models/([^/:]+):predict")


class Shedding:
    """Says of requests whose head was read whether they may go on; for an event loop's thread."""

    def __init__(
        self, models: Mapping[str, Model], recorder: RequestRecorder, in_flight: InFlight
    ) -> None:
        self._models = models
        self._recorder = recorder
        self._in_flight = in_flight
        # Let in since the loop last ran what was due: they are not in their queue yet.
        self._coming: Counter[str] = Counter()

    def refuse(self, scope: Mapping[str, Any]) -> Reply | None:
        """What a request is told that would wait for too long; None where it may go on."""
        if scope["method"] != "POST" or self._in_flight.draining:
            return None
        path = scope["path"]
        protocol, models = self._meant(path)
        if not models or not models[0].crowded:
            return None
        try:
            error = self._overload(models, deadline_of(dict(scope["headers"])))
        except RequestError:  # said where all else is said
            return None
        # Which of several it is, its body would have said.
        name = models[0].name if len(models) == 1 else ""
        if error is None:
            if name:
                self._let_in(name)
            return None
        self._recorder.refuse(name, protocol, scope["headers"], error)
        return refused_at(path, error)

    def _meant(self, path: str) -> tuple[str, list[Model]]:
        """The protocol of a path that waits in a queue, and the models that it may be about."""
        if match := INFERENCE.fullmatch(path):
            model = self._models.get(match[1] or match[2])
            return REST_V2 if match[1] else REST_V1, [model] if model else []
        if path == EMBEDDINGS:
            return REST_OPENAI, models_for(self._models, TextEmbeddingTask)
        if path in PATHS:
            return REST_RERANK, models_for(self._models, TextRankingTask)
        return "", []

    def _overload(self, models: Sequence[Model], deadline: float | None) -> OverloadedError | None:
        """Why all of them are full, said of the one that is so for the shortest time, or None."""
        errors = []
        for model in models:
            error = self._full(model, deadline)
            if error is None:
                return None
            errors.append(error)
        return min(errors, key=lambda error: error.retry_after or 0)

    def _full(self, model: Model, deadline: float | None) -> OverloadedError | None:
        try:
            model.current.check_queue(deadline, self._coming[model.name])
        except OverloadedError as error:
            return error
        return None

    def _let_in(self, name: str) -> None:
        if not self._coming:
            # Behind the tasks of this moment's requests, which join the queue before more is read.
            asyncio.get_running_loop().call_soon(self._coming.clear)
        self._coming[name] += 1
