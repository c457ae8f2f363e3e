"""``python -m pipeline submit`` through KFP's own client, against a stub of its API server."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.__main__ import main
from pipeline.kubeflow import graph
from pipeline.recipe import recipe as recipes
from pipeline.recipe.recipe import Recipe
from tests.support.servers.kubeflow import Kubeflow, kubeflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.kubeflow.graph import Cluster

pytestmark = pytest.mark.integration

MODEL = ["--source=hf://owner/name@main", "--name=sentiment"]


@cache
def compiled(cluster: Cluster) -> str:
    """The compiled pipeline, which takes half a second."""
    with tempfile.TemporaryDirectory() as folder:
        graph.compile_to(Path(folder) / "pipeline.yaml", cluster)
        return (Path(folder) / "pipeline.yaml").read_text()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubeflow]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("pipeline.kubeflow.submit.POLL_SECONDS", 0.01)
    monkeypatch.setattr(
        "pipeline.kubeflow.submit.compile_to", lambda out, on: out.write_text(compiled(on))
    )
    for name in ("WARMSTART_KFP_TOKEN", "WARMSTART_KFP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    with kubeflow() as running:
        yield running


def submit(cluster: Kubeflow, *flags: str) -> int:
    return main(["submit", f"--endpoint={cluster.url}", *flags])


def test_a_run_is_started_with_its_arguments_and_its_address_printed(
    cluster: Kubeflow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("max_length: 64")
    flags = [*MODEL, f"--recipe={recipe}", "--variants=fp32", "--pvc=models", "--image=mine:1"]
    assert submit(cluster, *flags) == 0
    assert capsys.readouterr().out == f"{cluster.url}/#/runs/details/run-1\n"
    (run,) = cluster.runs
    assert run["display_name"] == "prepare sentiment"
    assert run["experiment_id"] == "experiment-1"
    assert cluster.experiments[0]["display_name"] == "warmstart"
    parameters = run["runtime_config"]["parameters"]
    assert parameters["source"] == "hf://owner/name@main"
    assert (parameters["pvc"], parameters["force"]) == ("models", False)
    stated = json.loads(parameters["recipe"])
    assert (stated["max_length"], stated["variants"]) == (64, ["fp32"])
    # Both documents: without the second nothing would be mounted.
    assert run["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"] == "warmstart-prepare"
    mounts = run["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]
    assert mounts["executors"]["exec-publish"]["pvcMount"]


@pytest.mark.parametrize(("end", "status"), [("SUCCEEDED", 0), ("FAILED", 1), ("CANCELED", 1)])
def test_waiting_ends_with_the_run_and_its_state(
    cluster: Kubeflow, end: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.states["prepare sentiment"] = ["PENDING", "RUNNING", end]
    assert submit(cluster, *MODEL, "--wait") == status
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    assert end.lower() in captured.err.splitlines()[-1]


def test_a_list_of_models_is_a_run_each_and_one_that_fails_is_told_from_the_others(
    cluster: Kubeflow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models.yaml"
    models.write_text(
        "- {source: hf://owner/a, name: a}\n"
        "- {source: hf://owner/b, name: b, recipe: {variants: [fp32]}}\n"
    )
    cluster.states["prepare a"] = ["RUNNING", "FAILED"]
    assert submit(cluster, f"--models={models}", "--wait") == 1
    rows = [line.split() for line in capsys.readouterr().err.splitlines()[-2:]]
    assert [row[:2] for row in rows] == [["a", "failed"], ["b", "succeeded"]]
    sent = [run["runtime_config"]["parameters"] for run in cluster.runs]
    assert [parameters["name"] for parameters in sent] == ["a", "b"]
    assert json.loads(sent[1]["recipe"])["variants"] == ["fp32"]


@pytest.mark.parametrize("when", [[], ["--cron=0 3 * * *"]])
def test_a_list_of_models_is_started_whole_or_not_at_all(
    cluster: Kubeflow, tmp_path: Path, when: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models.yaml"
    models.write_text("".join(f"- {{source: hf://owner/{name}, name: {name}}}\n" for name in "abc"))
    cluster.refused = "prepare c"
    assert submit(cluster, f"--models={models}", *when) == 1
    kind = "recurring" if when else "run"
    assert sorted(cluster.stopped) == [f"{kind}-1", f"{kind}-2"]
    said = capsys.readouterr().err
    assert "stopped again: a" in said
    assert "refuses (500)" in said.splitlines()[-1]


def test_the_default_recipe_is_sent_in_characters_that_kfps_database_takes(
    cluster: Kubeflow,
) -> None:
    assert submit(cluster, *MODEL) == 0
    recipe = cluster.runs[0]["runtime_config"]["parameters"]["recipe"]
    assert recipe.isascii()
    assert recipes.from_json(recipe).digest == Recipe().digest


def test_a_server_that_restarts_does_not_end_the_wait(cluster: Kubeflow) -> None:
    cluster.hiccups = 3
    assert submit(cluster, *MODEL, "--wait") == 0


def test_a_service_is_brought_to_the_new_version_if_asked_for(cluster: Kubeflow) -> None:
    assert submit(cluster, *MODEL, "--rollout=models/sentiment", "--canary=10") == 0
    (run,) = cluster.runs
    parameters = run["runtime_config"]["parameters"]
    assert (parameters["service"], parameters["canary"]) == ("models/sentiment", 10)
    executors = run["pipeline_spec"]["pipeline_spec"]["deploymentSpec"]["executors"]
    assert "exec-rollout" in executors


def test_evaluation_data_that_the_steps_cannot_read_is_refused(
    cluster: Kubeflow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, recipe = tmp_path / "mine.csv", tmp_path / "recipe.yaml"
    data.write_text("text\ngood film\n")
    recipe.write_text(f"eval_data: {{path: {data}}}")
    assert submit(cluster, *MODEL, f"--recipe={recipe}") == 1
    assert f"the steps cannot read {data}" in capsys.readouterr().err
    assert cluster.runs == []


def test_a_secret_is_not_taken_as_a_plain_variable(
    cluster: Kubeflow, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in ("HF_TOKEN=hf_abc", "HTTPS_PROXY=http://user:word@proxy"):
        with pytest.raises(SystemExit):
            submit(cluster, *MODEL, f"--env={variable}")
        said = capsys.readouterr().err
        assert "use --secret-env" in said
        assert "hf_abc" not in said
        assert "word" not in said


def test_a_branch_is_followed_by_a_recurring_run(
    cluster: Kubeflow, capsys: pytest.CaptureFixture[str]
) -> None:
    assert submit(cluster, *MODEL, "--cron=0 3 * * *") == 0
    assert capsys.readouterr().out == f"{cluster.url}/#/recurringrun/details/recurring-1\n"
    (made,) = cluster.recurring
    assert made["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * *"
    assert (made["max_concurrency"], made["no_catchup"]) == (1, True)
    assert made["runtime_config"]["parameters"]["source"] == "hf://owner/name@main"
    assert cluster.runs == []

    assert submit(cluster, *MODEL, "--cron=0 4 * * *") == 1
    assert "sentiment has a recurring run already, recurring-1" in capsys.readouterr().err
    assert len(cluster.recurring) == 1


def test_a_token_comes_from_a_file_or_the_environment(
    tmp_path: Path,
    cluster: Kubeflow,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster.token = "secret"  # noqa: S105
    assert submit(cluster, *MODEL) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {cluster.url} refuses (401): give a token")
    file = tmp_path / "token"
    file.write_text("secret\n")
    assert submit(cluster, *MODEL, f"--token-file={file}") == 0
    monkeypatch.setenv("WARMSTART_KFP_TOKEN", "secret")
    assert submit(cluster, *MODEL) == 0
    assert len(cluster.runs) == 2


def test_mistakes_are_one_clear_line(
    cluster: Kubeflow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for flags, problem in (
        (["--token-file=/no/such/file"], "the token /no/such/file cannot be read"),
        (["--cron=daily"], "'daily' is no cron expression"),
        (["--create-pvc=20Gi"], "--create-pvc and --storage-class belong together"),
        (["--variants=fp64"], "fp64"),
        (["--canary=10"], "--canary is for --rollout"),
    ):
        assert submit(cluster, *MODEL, *flags) == 1
        said = capsys.readouterr().err
        assert problem in said
        assert said.count("\n") == 1
    assert cluster.runs == []


def test_what_is_no_kubeflow_is_told_from_it(
    cluster: Kubeflow, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", f"--endpoint={cluster.url}/elsewhere", *MODEL]) == 1
    assert "(404): it is not the address of Kubeflow Pipelines" in capsys.readouterr().err
    cluster.login_page = True
    assert submit(cluster, *MODEL) == 1
    assert "answers with a page" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with kubeflow() as gone:
        pass
    assert main(["submit", f"--endpoint={gone.url}", *MODEL]) == 1
    assert f"error: {gone.url} does not answer" in capsys.readouterr().err
