"""The graph of the steps as the local runner takes it."""

from __future__ import annotations

from itertools import pairwise

from pipeline.pipeline import build
from pipeline.progress import STEPS


def test_the_steps_run_one_after_another() -> None:
    spec = build().pipeline_spec
    inner = spec.components["comp-condition-1"].dag.tasks
    order = {name: list(inner[name].dependent_tasks) for name in inner}
    assert order == {
        "export": [],
        **{later: [earlier] for earlier, later in pairwise(STEPS[1:])},
    }


def test_without_retries_no_step_is_tried_again() -> None:
    task = build(network_retries=0).pipeline_spec.root.dag.tasks["snapshot"]
    assert task.retry_policy.max_retry_count == 0
    assert (
        build(network_retries=2)
        .pipeline_spec.root.dag.tasks["snapshot"]
        .retry_policy.max_retry_count
        == 2
    )
