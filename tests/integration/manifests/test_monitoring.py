"""Alerts and dashboard: metrics exist on a running server, rules fire, alerts have runbooks.

``promtool`` comes with Debian's package ``prometheus``.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.clients.v2 import text_request
from tests.support.manifests.pod import served
from tests.support.manifests.render import ROOT, SETUPS, named, render

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.process import Predictor
    from benchmarks.pods.kserve import Document

pytestmark = pytest.mark.integration

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None,
    reason="no promtool: apt-get install --no-install-recommends prometheus",
)

# Keywords of PromQL; all other words left of an expression are metrics.
WORDS = {"and", "by", "ignoring", "le", "on", "or", "unless", "without"}
# Prometheus' own.
OF_PROMETHEUS = {"up"}


@pytest.fixture(scope="module")
def metrics(server: Predictor) -> set[str]:
    """The names of the metrics of a predictor that has answered a request and refused one."""
    assert server.infer(text_request(["hello"])).status_code == 200
    assert server.infer({"inputs": []}).status_code == 400
    return set(re.findall(r"^([a-z]\w+)[{ ]", server.metrics(), re.MULTILINE))


def monitored() -> list[Document]:
    (setup,) = (each for each in SETUPS if "autoscaling-keda" in each.components)
    return render(setup)


def rules() -> list[Document]:
    groups = named(monitored(), "PrometheusRule", "warmstart")["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> Document:
    data = named(monitored(), "ConfigMap", "warmstart-dashboard")["data"]
    return dict(json.loads(data["warmstart.json"]))


def panel_queries() -> list[str]:
    return [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]


def autoscaler_queries() -> list[str]:
    service = named(monitored(), "InferenceService", "sentiment")
    sources = service["spec"]["predictor"]["autoScaling"]["metrics"]
    return [source["external"]["metric"]["query"] for source in sources]


def metrics_of(query: str) -> set[str]:
    """Return the metrics of an expression: its words without functions, labels and literals."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]', " ", query)
    bare = re.sub(r"\b(by|on|ignoring|without)\s*\([^)]*\)", " ", bare)
    return set(re.findall(r"\b[a-z]\w*\b(?!\s*\()", bare)) - WORDS


def test_a_server_has_every_metric_that_rules_and_panels_name(metrics: set[str]) -> None:
    alerts = [rule["expr"] for rule in rules()]
    variables = [each["query"] for each in dashboard()["templating"]["list"]]
    wanted = set().union(*map(metrics_of, [*alerts, *panel_queries(), *autoscaler_queries()]))
    wanted |= set(re.findall(r"label_values\((\w+)", " ".join(variables)))
    assert len(wanted) > 10
    assert wanted - OF_PROMETHEUS - metrics == set()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('up{job="up_too"} == 1 unless on (pod) a_info', {"up", "a_info"}),
        ("histogram_quantile(0.9, sum by (le) (rate(a_bucket[1m])))", {"a_bucket"}),
        ("count by (pod) (a) / on (pod, b) time() - c", {"a", "c"}),
    ],
)
def test_metrics_are_found_in_a_query(query: str, expected: set[str]) -> None:
    assert metrics_of(query) == expected


def test_every_alert_has_a_runbook() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbooks.md").read_text(), re.MULTILINE)
    assert headings == [rule["alert"] for rule in rules()]
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}


def test_every_alert_is_played() -> None:
    plays = yaml.safe_load((ROOT / "tests" / "alerts.yaml").read_text())["tests"]
    fired = {
        test["alertname"]
        for play in plays
        for test in play.get("alert_rule_test", [])
        if test["exp_alerts"]
    }
    assert fired == {rule["alert"] for rule in rules()}


@pytest.fixture
def rule_folder(tmp_path: Path) -> Path:
    """A folder with the rules as Prometheus reads them and their tests."""
    spec = named(monitored(), "PrometheusRule", "warmstart")["spec"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(spec))
    shutil.copy(ROOT / "tests" / "alerts.yaml", tmp_path)
    return tmp_path


def promtool(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL
    return subprocess.run(
        [PROMTOOL, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@needs_promtool
def test_prometheus_accepts_the_rules(rule_folder: Path) -> None:
    done = promtool(rule_folder, "check", "rules", "rules.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_alerts_fire_when_they_should_and_only_then(rule_folder: Path) -> None:
    done = promtool(rule_folder, "test", "rules", "alerts.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_prometheus_understands_the_queries_of_dashboard_and_autoscaler(tmp_path: Path) -> None:
    queries = [each.replace("$__rate_interval", "1m") for each in panel_queries()]
    recorded: list[dict[str, Any]] = [
        {"record": f"query:{number}", "expr": query}
        for number, query in enumerate([*queries, *autoscaler_queries()])
    ]
    (tmp_path / "rules.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "queries", "rules": recorded}]})
    )
    done = promtool(tmp_path, "check", "rules", "rules.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_monitor_scrapes_the_port_that_has_metrics() -> None:
    (setup,) = (each for each in SETUPS if "autoscaling-keda" in each.components)
    (endpoint,) = named(monitored(), "PodMonitor", "warmstart-predictor")["spec"][
        "podMetricsEndpoints"
    ]
    for _, _, pod in served(setup):
        ports = {port["name"]: port for port in pod["spec"]["containers"][0]["ports"]}
        assert ports[endpoint["port"]]["containerPort"] == 8080
    assert endpoint["path"] == "/metrics"
