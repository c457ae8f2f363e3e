"""Asking beside other work: the answer, the error, or the end of patience."""

from __future__ import annotations

import threading

import pytest

from storage_init import sources
from storage_init.base.errors import SourceError, UnreachableError
from storage_init.fetch import revision_check
from storage_init.fetch.revision_check import RevisionCheck
from storage_init.format.package import Source

URI = "hf://owner/model"
SOURCE = Source(uri=URI, revision="a" * 40)


@pytest.mark.parametrize(("patient", "retries"), [(True, None), (False, revision_check.RETRIES)])
def test_the_answer_comes_and_patience_decides_how_often_is_tried(
    patient: bool, retries: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int | None]] = []

    def resolve(uri: str, retries: int | None = None) -> Source:
        asked.append((uri, retries))
        return SOURCE

    monkeypatch.setattr(sources, "resolve", resolve)
    assert RevisionCheck(URI, patient=patient).answer() is SOURCE
    assert asked == [(URI, retries)]


def test_an_error_is_raised_where_the_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(uri: str, retries: int | None = None) -> Source:
        raise SourceError("gated")

    monkeypatch.setattr(sources, "resolve", refuse)
    asked = RevisionCheck(URI, patient=False)
    with pytest.raises(SourceError, match="gated"):
        asked.answer()


def test_who_does_not_answer_in_time_counts_as_down(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(uri: str, retries: int | None = None) -> Source:
        over.wait(60)
        return SOURCE

    monkeypatch.setattr(sources, "resolve", hang)
    monkeypatch.setattr(revision_check, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(UnreachableError, match=f"{URI}: no answer within 0 seconds"):
        RevisionCheck(URI, patient=False).answer()
    over.set()
