"""A revision check in a thread: its answer, its error, or the end of patience."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from storage_init import sources
from storage_init.base.errors import SourceError, UnreachableError
from storage_init.fetch import revision_check
from storage_init.fetch.revision_check import RevisionCheck
from storage_init.format.package import Source

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE = Source(uri="hf://owner/model", revision="a" * 40)


def replace_resolve(
    monkeypatch: pytest.MonkeyPatch, resolve: Callable[[int | None], Source]
) -> None:
    monkeypatch.setattr(sources, "resolve", lambda _, retries: resolve(retries))


@pytest.mark.parametrize(("patient", "retries"), [(True, None), (False, revision_check.RETRIES)])
def test_only_a_patient_check_retries_as_usual(
    patient: bool, retries: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | None] = []

    def resolve(retries: int | None) -> Source:
        asked.append(retries)
        return SOURCE

    replace_resolve(monkeypatch, resolve)
    assert RevisionCheck(SOURCE.uri, patient=patient).answer() is SOURCE
    assert asked == [retries]


def test_the_answer_raises_the_error_of_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int | None) -> Source:
        raise SourceError("gated")

    replace_resolve(monkeypatch, refuse)
    with pytest.raises(SourceError, match="gated"):
        RevisionCheck(SOURCE.uri, patient=False).answer()


def test_a_source_without_an_answer_in_time_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(_: int | None) -> Source:
        over.wait(60)
        return SOURCE

    replace_resolve(monkeypatch, hang)
    monkeypatch.setattr(revision_check, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(UnreachableError, match=f"{SOURCE.uri}: no answer within 0 seconds"):
        RevisionCheck(SOURCE.uri, patient=False).answer()
    over.set()
