"""Kubeflow Pipelines' API server for tests: the few routes that ``pipeline.kubeflow.submit`` uses.

It runs nothing: a run has the states that a test gives it, one each time it is asked for.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.support.servers.serving import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

API = "/apis/v2beta1"
RUN = re.compile(rf"{API}/runs/(run-\d+)")


@dataclass
class Kubeflow:
    """A running API server; ``runs`` and ``recurring`` are the bodies that were posted.

    ``states``: what a run is in, by its name; the last one stays. ``token``: what it asks for.
    ``login_page``: whether it answers with one, as a proxy before it would.
    """

    url: str
    token: str | None = None
    login_page: bool = False
    runs: list[dict[str, Any]] = field(default_factory=list)
    recurring: list[dict[str, Any]] = field(default_factory=list)
    experiments: list[dict[str, Any]] = field(default_factory=list)
    states: dict[str, list[str]] = field(default_factory=dict)

    def answer(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """What the real server would say, as far as the client looks at it.

        Raises:
            KeyError: there is no such route.
        """
        if method == "GET" and (run := RUN.fullmatch(path)):
            return self._run(run[1])
        routes: dict[tuple[str, str], Callable[[], dict[str, Any]]] = {
            ("GET", f"{API}/healthz"): lambda: {"multi_user": False},
            ("GET", f"{API}/experiments"): lambda: {"experiments": self.experiments},
            ("POST", f"{API}/experiments"): lambda: self._add(
                self.experiments, "experiment_id", "experiment", body
            ),
            ("POST", f"{API}/runs"): lambda: self._add(self.runs, "run_id", "run", body),
            ("GET", f"{API}/recurringruns"): lambda: {"recurringRuns": self.recurring},
            ("POST", f"{API}/recurringruns"): lambda: self._add(
                self.recurring, "recurring_run_id", "recurring", body
            ),
        }
        return routes[method, path]()

    def _add(
        self, kept: list[dict[str, Any]], key: str, kind: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        kept.append({key: f"{kind}-{len(kept) + 1}", **body})
        return kept[-1]

    def _run(self, identity: str) -> dict[str, Any]:
        (run,) = [run for run in self.runs if run["run_id"] == identity]
        states = self.states.get(run["display_name"], ["SUCCEEDED"])
        state = states.pop(0) if len(states) > 1 else states[0]
        return {"run_id": identity, "display_name": run["display_name"], "state": state}


@contextmanager
def kubeflow(token: str | None = None) -> Iterator[Kubeflow]:
    """Serve on a port of its own until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    running = Kubeflow(f"http://127.0.0.1:{server.server_port}", token=token)
    server.kubeflow = running  # type: ignore[attr-defined]
    with serving(server):
        yield running


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _answer(self) -> None:
        running: Kubeflow = self.server.kubeflow  # type: ignore[attr-defined]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or "null")
        if running.login_page:
            self._send(200, {}, "text/html")
            return
        if running.token and self.headers["Authorization"] != f"Bearer {running.token}":
            self._send(401, {"error": "unauthenticated"})
            return
        try:
            self._send(200, running.answer(self.command, urlsplit(self.path).path, body))
        except KeyError:
            self._send(404, {"error": f"no route {self.command} {self.path}"})

    def _send(self, status: int, document: dict[str, Any], kind: str = "application/json") -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
