"""The graph of the steps as the local runner takes it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pipeline.kubeflow.graph import Cluster, build
from pipeline.workspace.records import STEPS


def test_the_steps_run_one_after_another() -> None:
    spec = build().pipeline_spec
    inner = next(c.dag.tasks for c in spec.components.values() if "export" in c.dag.tasks)
    order = {name: list(inner[name].dependent_tasks) for name in inner}
    assert order == {
        "export": [],
        **{later: [earlier] for earlier, later in pairwise(STEPS[1:])},
    }


@pytest.mark.parametrize("retries", [0, 2])
def test_only_what_downloads_is_tried_again(retries: int) -> None:
    spec = build(Cluster(network_retries=retries)).pipeline_spec
    tasks = {
        name: task
        for graph in (spec.root, *spec.components.values())
        for name, task in graph.dag.tasks.items()
    }
    assert tasks["snapshot"].retry_policy.max_retry_count == retries
    assert [name for name, task in tasks.items() if task.HasField("retry_policy")] == ["snapshot"]
