"""Finds the route of a request's path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from predictor.engine.tasks.base import Task
    from predictor.errors import RequestError
    from predictor.rest.http.response import Reply

    Handler = Callable[..., Awaitable[Reply]]
    ErrorForm = Callable[[RequestError], dict[str, Any]]

# A path with this beginning belongs to OpenAI's clients, whether or not there is such a route.
OPENAI_PREFIX = "/openai/"
# Results are cached for so many paths: a server has few, but clients invent others.
KNOWN_PATHS = 256
# A field of a template: {name}, or {name:pattern}.
_FIELD = re.compile(r"\{(\w+)(?::([^}]+))?\}")


@dataclass(frozen=True)
class Route:
    """A path, its method and its handler.

    Args:
        method: GET, which includes HEAD, or POST.
        template: the path; each field is an argument of the handler.
        handler: called with the server's state, the client and the fields.
        protocol: of a request that waits in a model's queue, as the metrics name it.
        task: of the model that answers, where the path does not name the model.
        error_form: an error as the body that the route's clients read.
        request: the type of the body (a TaskRequest), where it says all about the answer.
    """

    method: str
    template: str
    handler: Handler
    protocol: str = ""
    task: type[Task] | None = None
    error_form: ErrorForm | None = None
    request: Any = None

    @property
    def allowed(self) -> str:
        """The ``Allow`` header."""
        return "GET, HEAD" if self.method == "GET" else self.method

    @cached_property
    def fields(self) -> frozenset[str]:
        """The names of the template's fields."""
        return frozenset(name for name, _ in _FIELD.findall(self.template))

    def path(self, **fields: str) -> str:
        """The path with these fields."""
        return _FIELD.sub(lambda field: fields[field[1]], self.template)

    def pattern(self) -> re.Pattern[str]:
        """Matches the paths of this route."""
        return re.compile(_FIELD.sub(lambda f: f"(?P<{f[1]}>{f[2] or '[^/]+'})", self.template))


class Match(NamedTuple):
    """The route of a path, and the fields in the path."""

    route: Route
    fields: dict[str, str]


class Router:
    """Matches paths with a table of routes."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = routes
        self.find: Callable[[str, str], Match | None] = lru_cache(KNOWN_PATHS)(self._find)
        self._fixed: dict[str, list[Route]] = {}
        for route in routes:
            if "{" not in route.template:
                self._fixed.setdefault(route.template, []).append(route)
        self._patterns: list[tuple[re.Pattern[str], Route]] = []

    def allowed(self, path: str) -> str:
        """The ``Allow`` header of a path that has a route."""
        of_both = (self.find(path, method) for method in ("GET", "POST"))
        return ", ".join(dict.fromkeys(match.route.allowed for match in of_both if match))

    def _find(self, path: str, method: str) -> Match | None:
        """The route of a path with this method, or one of its routes with another method."""
        method = "GET" if method == "HEAD" else method
        if same := self._fixed.get(path):
            return Match(next((r for r in same if r.method == method), same[0]), {})
        if not self._patterns:
            # Compiled at the first request, so that a start does not wait for it.
            fielded = [route for route in self.routes if "{" in route.template]
            self._patterns = [(route.pattern(), route) for route in fielded]
        for pattern, route in self._patterns:
            if match := pattern.fullmatch(path):
                return Match(route, match.groupdict())
        return None
