"""Kubeflow Pipelines' API server for tests: the few routes that ``pipeline.kubeflow.submit`` uses.

It runs nothing: each question about a run moves it to the next state that a test gave it.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.servers.serving import Answer, Call, json_answer, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

API = "/apis/v2beta1"
RUN = re.compile(rf"{API}/runs/(run-\d+)")
STOP = re.compile(rf"{API}/(?:runs/(?=.*:terminate)|recurringruns/)(\w+-\d+)(?::terminate)?")


@dataclass
class Kubeflow:
    """A running API server; ``runs`` and ``recurring`` are the bodies that were posted.

    Attributes:
        token: what every request must carry.
        login_page: whether it answers with one, as a proxy in front of it does.
        states: the states that a run goes through, by its name; the last one stays.
        refused: the name of a run that the server refuses to start.
        hiccups: how many questions about a run it answers with 503 first.
        stopped: the runs that were terminated, and the recurring runs that were deleted.
    """

    url: str
    token: str | None = None
    login_page: bool = False
    runs: list[dict[str, Any]] = field(default_factory=list)
    recurring: list[dict[str, Any]] = field(default_factory=list)
    experiments: list[dict[str, Any]] = field(default_factory=list)
    states: dict[str, list[str]] = field(default_factory=dict)
    refused: str = ""
    hiccups: int = 0
    stopped: list[str] = field(default_factory=list)

    def respond(self, call: Call) -> Answer:
        """Answer as the real server does, as far as the client looks at it."""
        body = json.loads(call.body or b"null")
        if refusal := self._refusal(call, body):
            return refusal
        if call.method == "GET" and (run := RUN.fullmatch(call.path)):
            return json_answer(self._run(run[1]))
        if stop := STOP.fullmatch(call.path):
            self.stopped.append(stop[1])
            return json_answer({})
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
        if route := routes.get((call.method, call.path)):
            return json_answer(route())
        return json_answer({"error": f"no route {call.method} {call.path}"}, 404)

    def _refusal(self, call: Call, body: Any) -> Answer | None:
        if self.login_page:
            return Answer(200, {"Content-Type": "text/html"}, b"{}")
        if self.token and call.headers.get("Authorization") != f"Bearer {self.token}":
            return json_answer({"error": "unauthenticated"}, 401)
        if self.hiccups and RUN.fullmatch(call.path):
            self.hiccups -= 1
            return json_answer({"error": "restarting"}, 503)
        if call.method == "POST" and body and body.get("display_name") == self.refused:
            return json_answer({"error": "no"}, 500)
        # As its database refuses what utf8 of MySQL cannot hold, when the run has been created.
        if call.method == "POST" and max(json.dumps(body, ensure_ascii=False)) > "\uffff":
            return json_answer({"error": "Error 1366: Incorrect string value"}, 500)
        return None

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
    with serve(lambda url: Kubeflow(url, token=token)) as running:
        yield running
