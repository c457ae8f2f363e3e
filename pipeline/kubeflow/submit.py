"""Runs on a Kubeflow cluster: compiled here, started and followed through KFP's API."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pipeline.kubeflow.graph import STORE_MOUNT, Cluster, compile_to
from storage_init.base.errors import WarmstartError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.recipe.models import Model

POLL_SECONDS = 5.0
# An API server that restarts, or a connection that breaks, does not end the wait before this.
PATIENCE_SECONDS = 300.0
HEALTH_SECONDS = 30.0
SUCCEEDED = "SUCCEEDED"
ENDED = (SUCCEEDED, "FAILED", "SKIPPED", "CANCELED", "ERROR")
HINTS = {
    401: "give a token (--token-file)",
    403: "the token or the --namespace is not right",
    404: "it is not the address of Kubeflow Pipelines",
}


class SubmitError(WarmstartError):
    """Kubeflow does not answer, refuses, or has a recurring run of that name already.

    ``lasting``: asking again later would not help.
    """

    def __init__(self, message: str, *, lasting: bool = True) -> None:
        super().__init__(message)
        self.lasting = lasting


@dataclass(frozen=True)
class Endpoint:
    """Kubeflow Pipelines: the URL of its UI or API, a bearer token, and the profile's namespace."""

    url: str
    token: str | None = None
    namespace: str | None = None
    experiment: str = "warmstart"


@dataclass(frozen=True)
class Started:
    """A run, or a recurring run, of one model; ``address`` is for a browser."""

    model: str
    run_id: str
    address: str


class Kubeflow:
    """A connection; every error of KFP's client becomes a :class:`SubmitError`.

    Raises:
        SubmitError: nothing answers at the endpoint, or it refuses the token.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        from kfp import Client

        self._url = endpoint.url.rstrip("/")
        _check(self._url, endpoint.token)
        namespace = {"namespace": endpoint.namespace} if endpoint.namespace else {}
        with self._readable_errors(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self._client = Client(endpoint.url, existing_token=endpoint.token, **namespace)
            made = self._client.create_experiment(endpoint.experiment, namespace=endpoint.namespace)
        self._experiment: str = made.experiment_id

    def start(
        self,
        models: Sequence[Model],
        cluster: Cluster,
        parameters: dict[str, Any],
        cron: str | None = None,
    ) -> list[Started]:
        """Start a run for each model, now or at every time that ``cron`` names; all or none.

        A run each, and not a loop in one: KFP ends a loop's other iterations when one fails, and
        retries none of their steps (kubeflow/pipelines, issues 7330 and 13897). Of a recurring run
        one runs at a time; if the branch has not moved, it ends with its first step.

        ``parameters`` are the pipeline's, beside those of a model; ``cron`` has KFP's six fields.

        Raises:
            SubmitError: the experiment has a recurring run of a model already.
        """
        _check_data(models)
        with self._readable_errors():
            present = self._schedules() if cron else {}
            for model in models:
                if known := present.get(_run_name(model)):
                    raise SubmitError(
                        f"{model.name} has a recurring run already, {known}: delete it first "
                        f"(kfp --endpoint {self._url} recurring-run delete {known})"
                    )
        started: list[Started] = []
        with _compiled(cluster) as file, contextlib.ExitStack() as undo, self._readable_errors():
            for model in models:
                started.append(self._start(model, file, parameters, cron))
                undo.callback(self._stop, started[-1], recurring=cron is not None)
            undo.pop_all()
        return started

    def _stop(self, run: Started, *, recurring: bool) -> None:
        """Stop what was started for a list of models of which a later one was refused."""
        try:
            with self._readable_errors():
                if recurring:
                    self._client.delete_recurring_run(run.run_id)
                else:
                    self._client.terminate_run(run.run_id)
        except SubmitError as error:
            said = f"still started: {run.model} ({error}): {run.address}"
        else:
            said = f"stopped again: {run.model}"
        print(said, file=sys.stderr)  # noqa: T201 - beside the error of the command

    def _start(
        self, model: Model, file: str, parameters: dict[str, Any], cron: str | None
    ) -> Started:
        given = {"pipeline_package_path": file, "params": _parameters(model) | parameters}
        if cron is None:
            run = self._client.run_pipeline(self._experiment, _run_name(model), **given)
            return Started(model.name, run.run_id, f"{self._url}/#/runs/details/{run.run_id}")
        limits = {"cron_expression": cron, "no_catchup": True, "max_concurrency": 1}
        run = self._client.create_recurring_run(
            self._experiment, _run_name(model), **limits, **given
        )
        address = f"{self._url}/#/recurringrun/details/{run.recurring_run_id}"
        return Started(model.name, run.recurring_run_id, address)

    def wait(self, runs: Sequence[Started]) -> dict[str, str]:
        """Wait until all runs have ended; returns each model's state, in KFP's words.

        Raises:
            SubmitError: Kubeflow refuses, or has not answered for ``PATIENCE_SECONDS``.
        """
        states: dict[str, str] = {}
        for run in runs:
            while (state := self._state(run)) not in ENDED:
                time.sleep(POLL_SECONDS)
            states[run.model] = state
        return states

    def _state(self, run: Started) -> str:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with self._readable_errors():
                    return self._client.get_run(run.run_id).state or ""
            except SubmitError as error:
                if error.lasting or time.monotonic() > deadline:
                    raise
            time.sleep(POLL_SECONDS)

    def _schedules(self) -> dict[str, str]:
        """The experiment's recurring runs: their ids by their names."""
        found: dict[str, str] = {}
        page: str | None = ""
        while page is not None:
            answer = self._client.list_recurring_runs(
                page_token=page, page_size=100, experiment_id=self._experiment
            )
            runs = answer.recurring_runs or []
            found |= {run.display_name: run.recurring_run_id for run in runs}
            page = answer.next_page_token or None
        return found

    @contextlib.contextmanager
    def _readable_errors(self) -> Iterator[None]:
        import kfp_server_api
        import urllib3

        try:
            # The client prints addresses of its own.
            with contextlib.redirect_stdout(sys.stderr), _quiet("urllib3.connectionpool"):
                yield
        except kfp_server_api.ApiException as error:
            raise _refusal(self._url, error.status, str(error.body or error.reason)) from error
        except urllib3.exceptions.HTTPError as error:
            raise SubmitError(f"{self._url} does not answer: {error}", lasting=False) from error


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a library's warnings of its own retries out of what a person reads."""
    log = logging.getLogger(name)
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def cron_with_seconds(text: str) -> str:
    """Return KFP's six fields of a cron expression, from those or from the usual five.

    Raises:
        SubmitError: the expression has another number of fields.
    """
    fields = text.split()
    if len(fields) not in (5, 6):
        raise SubmitError(
            f"{text!r} is no cron expression: minute, hour, day, month and day of the week, such "
            'as "0 3 * * *"'
        )
    return " ".join(["0", *fields] if len(fields) == 5 else fields)


def _check(url: str, token: str | None) -> None:
    """Ask once for what KFP's client would ask for half a minute, whatever the answer."""
    import requests

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = requests.get(
            f"{url}/apis/v2beta1/healthz", headers=headers, timeout=HEALTH_SECONDS
        )
    except requests.RequestException as error:
        raise SubmitError(f"{url} does not answer: {error}") from error
    if not answer.ok:
        raise _refusal(url, answer.status_code, answer.reason)
    if "json" not in answer.headers.get("Content-Type", ""):
        raise SubmitError(
            f"{url} answers with a page where Kubeflow Pipelines' API was asked for: give a token, "
            "if it is a login, or the address of the API, such as https://host/pipeline"
        )


def _refusal(url: str, status: int, said: str) -> SubmitError:
    why = HINTS.get(status) or " ".join(said.split())
    return SubmitError(f"{url} refuses ({status}): {why}", lasting=status < 500)


@contextlib.contextmanager
def _compiled(cluster: Cluster) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="warmstart-") as folder:
        compile_to(Path(folder) / "prepare.yaml", cluster)
        yield f"{folder}/prepare.yaml"


def _run_name(model: Model) -> str:
    return f"prepare {model.name}"


def _parameters(model: Model) -> dict[str, Any]:
    # ASCII, because KFP's database takes no character beyond the Basic Multilingual Plane.
    recipe = json.dumps(json.loads(model.recipe.to_json()), separators=(",", ":"))
    return {"source": model.source, "name": model.name, "recipe": recipe}


def _check_data(models: Sequence[Model]) -> None:
    """Refuse evaluation data that the steps cannot read.

    Raises:
        SubmitError: names the model and the path.
    """
    for model in models:
        path = model.recipe.eval_data.path
        if path is not None and not PurePosixPath(path).is_relative_to(STORE_MOUNT):
            raise SubmitError(
                f"{model.name}: the steps cannot read {path}, which is on this machine: copy it to "
                f"the store's volume and name it as they see it, {STORE_MOUNT}/…"
            )
