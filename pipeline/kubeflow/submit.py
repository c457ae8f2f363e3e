"""Runs on a Kubeflow cluster: compiled here, started and followed through KFP's API."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.kubeflow.graph import Cluster, compile_to
from storage_init.base.errors import WarmstartError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.recipe.models import Model

POLL_SECONDS = 5.0
HEALTH_SECONDS = 30.0
SUCCEEDED = "SUCCEEDED"
ENDED = (SUCCEEDED, "FAILED", "SKIPPED", "CANCELED", "ERROR")
HINTS = {
    401: "give a token (--token-file)",
    403: "the token or the --namespace is not right",
    404: "it is not the address of Kubeflow Pipelines",
}


class SubmitError(WarmstartError):
    """Kubeflow does not answer, refuses, or has a recurring run of that name already."""


@dataclass(frozen=True)
class Endpoint:
    """Kubeflow Pipelines: its URL, and what a multi-user installation asks for.

    ``url`` is that of the UI or the API, as in a browser. ``token`` is a bearer token.
    ``namespace`` is that of the user's profile.
    """

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

    def submit(
        self, models: Sequence[Model], cluster: Cluster, parameters: dict[str, Any]
    ) -> list[Started]:
        """Start a run for each model.

        A run each, and not a loop in one: KFP ends a loop's other iterations when one fails, and
        retries none of their steps (kubeflow/pipelines, issues 7330 and 13897).

        Args:
            models: what to prepare.
            cluster: what is compiled in.
            parameters: of the pipeline, beside those that a model has.
        """
        started = []
        with _compiled(cluster) as file, self._readable_errors():
            for model in models:
                run = self._client.run_pipeline(
                    self._experiment,
                    _run_name(model),
                    pipeline_package_path=file,
                    params=_parameters(model) | parameters,
                )
                address = f"{self._url}/#/runs/details/{run.run_id}"
                started.append(Started(model.name, run.run_id, address))
        return started

    def schedule(
        self, models: Sequence[Model], cluster: Cluster, parameters: dict[str, Any], cron: str
    ) -> list[Started]:
        """Start a run for each model at every time that ``cron`` names; arguments as ``submit``.

        A run whose branch has not moved ends with its first step. One run at a time: the next one
        waits.

        Raises:
            SubmitError: the experiment has a recurring run of the model already.
        """
        started = []
        with _compiled(cluster) as file, self._readable_errors():
            present = self._schedules()
            for model in models:
                if known := present.get(_run_name(model)):
                    raise SubmitError(
                        f"{model.name} has a recurring run already, {known}: delete it first "
                        f"(kfp recurring-run delete {known})"
                    )
            for model in models:
                run = self._client.create_recurring_run(
                    self._experiment,
                    _run_name(model),
                    cron_expression=cron,
                    no_catchup=True,
                    max_concurrency=1,
                    pipeline_package_path=file,
                    params=_parameters(model) | parameters,
                )
                address = f"{self._url}/#/recurringrun/details/{run.recurring_run_id}"
                started.append(Started(model.name, run.recurring_run_id, address))
        return started

    def wait(self, runs: Sequence[Started]) -> dict[str, str]:
        """Wait until all runs have ended; returns each model's state, in KFP's words."""
        states: dict[str, str] = {}
        while True:
            for run in runs:
                if run.model not in states:
                    with self._readable_errors():
                        state = self._client.get_run(run.run_id).state or ""
                    if state in ENDED:
                        states[run.model] = state
            if len(states) == len(runs):
                return states
            time.sleep(POLL_SECONDS)

    def _schedules(self) -> dict[str, str]:
        """The experiment's recurring runs: their ids by their names."""
        found: dict[str, str] = {}
        page = ""
        while True:
            answer = self._client.list_recurring_runs(
                page_token=page, page_size=100, experiment_id=self._experiment
            )
            for run in answer.recurring_runs or []:
                found[run.display_name] = run.recurring_run_id
            page = answer.next_page_token or ""
            if not page:
                return found

    @contextlib.contextmanager
    def _readable_errors(self) -> Iterator[None]:
        import kfp_server_api
        import urllib3

        try:
            # The client prints addresses of its own.
            with contextlib.redirect_stdout(sys.stderr):
                yield
        except kfp_server_api.ApiException as error:
            raise _refusal(self._url, error.status, str(error.body or error.reason)) from error
        except urllib3.exceptions.HTTPError as error:
            raise SubmitError(f"{self._url} does not answer: {error}") from error


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
    return SubmitError(f"{url} refuses ({status}): {HINTS.get(status) or ' '.join(said.split())}")


@contextlib.contextmanager
def _compiled(cluster: Cluster) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="warmstart-") as folder:
        file = Path(folder) / "prepare.yaml"
        compile_to(file, cluster)
        yield str(file)


def _run_name(model: Model) -> str:
    return f"prepare {model.name}"


def _parameters(model: Model) -> dict[str, Any]:
    return {"source": model.source, "name": model.name, "recipe": model.recipe.to_json()}
