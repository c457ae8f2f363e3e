"""The examples of each task in the OpenAPI document."""

from __future__ import annotations

from predictor.engine.tasks.registry import TASKS
from predictor.rest.openapi.tasks import _TASKS, Example


def test_every_task_has_examples() -> None:
    assert set(_TASKS) == set(TASKS.values())


def test_an_example_makes_a_v2_and_a_v1_request() -> None:
    example = Example({"query": ["q"], "document": ["a", "b"]})
    assert [(i["name"], i["shape"], i["data"]) for i in example.v2["inputs"]] == [
        ("query", [1], ["q"]),
        ("document", [2], ["a", "b"]),
    ]
    assert example.v1["instances"] == [
        {"query": "q", "document": "a"},
        {"query": "q", "document": "b"},
    ]
