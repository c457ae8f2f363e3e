"""Load shedding: refuses requests by their head alone, before they cost anything.

Under overload most requests are refused, and each refusal takes time from the requests that are
served.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from predictor.errors import OverloadedError, RequestError
from predictor.rest.http.request import deadline_of
from predictor.rest.inference.errors import refusal_at
from predictor.rest.inference.task_requests import models_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from predictor.rest.http.response import Reply
    from predictor.rest.router import Match, Router
    from predictor.serving.model import Model
    from predictor.serving.server_state import ServerState

    Header = tuple[bytes, bytes]


class Shedding:
    """Decides which requests may go on; for the event loop's thread."""

    def __init__(self, state: ServerState, router: Router) -> None:
        self._state = state
        self._router = router
        # Requests by model that were let in and whose tasks have not joined the queue yet.
        self._coming: Counter[str] = Counter()

    @property
    def crowded(self) -> bool:
        """Whether a request may have to wait for another one."""
        return any(model.crowded for model in self._state.models.values())

    def refuse(self, method: str, path: str, headers: Sequence[Header]) -> Reply | None:
        """The refusal of a request that would wait too long; None if it may go on."""
        if method != "POST" or self._state.in_flight.draining:
            return None
        match = self._router.find(path, method)
        if match is None or not match.route.protocol:
            return None
        models = self._models(match)
        if not models or not models[0].crowded:
            return None
        try:
            error = self._overload(models, deadline_of(dict(headers)))
        except RequestError:  # The handler refuses it, as it does any other wrong request.
            return None
        # Only the body says which of several models is meant.
        name = models[0].name if len(models) == 1 else ""
        if error is None:
            if name:
                self._let_in(name)
            return None
        self._state.recorder.refuse(name, match.route.protocol, headers, error)
        return refusal_at(match, path, error)

    def _models(self, match: Match) -> list[Model]:
        """The models that may answer a request."""
        models = self._state.models
        name = match.fields.get("name")
        if name is None:
            return models_for(models, match.route.task) if match.route.task else []
        model = models.get(name)
        return [model] if model else []

    def _overload(self, models: Sequence[Model], deadline: float | None) -> OverloadedError | None:
        """The error of the model that has room first; None if a model has room now."""
        errors = [self._full(model, deadline) for model in models]
        full = [error for error in errors if error is not None]
        if len(full) < len(errors):
            return None
        return min(full, key=lambda error: error.retry_after or 0)

    def _full(self, model: Model, deadline: float | None) -> OverloadedError | None:
        try:
            model.current.check_queue(deadline, self._coming[model.name])
        except OverloadedError as error:
            return error
        return None

    def _let_in(self, name: str) -> None:
        if not self._coming:
            # Runs after the tasks of the requests of this moment, which join the queue first.
            asyncio.get_running_loop().call_soon(self._coming.clear)
        self._coming[name] += 1
