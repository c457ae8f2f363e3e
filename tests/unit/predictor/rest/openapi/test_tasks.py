"""How each task is asked, as the document shows it."""

from __future__ import annotations

from predictor.engine.tasks.registry import TASKS
from predictor.rest.openapi.tasks import _TASKS, Example


def test_every_task_says_how_it_is_asked() -> None:
    assert set(_TASKS) == set(TASKS.values())


def test_an_example_is_one_request_of_both_protocols() -> None:
    example = Example({"query": ["q"], "document": ["a", "b"]})
    assert [(i["name"], i["shape"], i["data"]) for i in example.inputs] == [
        ("query", [1], ["q"]),
        ("document", [2], ["a", "b"]),
    ]
    assert example.instances == [{"query": "q", "document": "a"}, {"query": "q", "document": "b"}]
