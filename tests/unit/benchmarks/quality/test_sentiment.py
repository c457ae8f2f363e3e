"""The labelled sentences: out of pip's download, split the same way every time."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from benchmarks.quality import sentiment
from benchmarks.quality.sentiment import EVALUATION, HELD_OUT, SNIPPETS, Sentence, load

COUNT = HELD_OUT + EVALUATION + 300
LINES = [f"{n}\t{-2.5 if n % 3 else 1.25}\tsnippet number {n}" for n in range(COUNT)]
# The file has texts that occur twice, texts with a score of 0, and Windows line ends.
CONTENT = "\r\n".join([*LINES, "9\t1.25\tsnippet number 9", "10001\t0.0\tneither", ""])


def archive(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Takes pip's place: writes the distribution that pip would download, and notes commands."""
    commands: list[list[str]] = []

    def download(command: list[str], *, check: bool) -> None:
        commands.append(command)
        folder = next(Path(flag[7:]) for flag in command if flag.startswith("--dest="))
        inner = archive(f"hutto/{SNIPPETS}", CONTENT.encode())
        outer = archive(f"vaderSentiment-3.3.2/{sentiment.INNER}", inner)
        (folder / "vadersentiment-3.3.2.tar.gz").write_bytes(outer)

    monkeypatch.setattr(subprocess, "run", download)
    return commands


def test_sentences_are_split_the_same_way_every_time(pip: list[list[str]], tmp_path: Path) -> None:
    first, again = load(tmp_path / "work"), load(tmp_path / "work")
    assert first == again
    assert len(pip) == 1, "the second time they are there"
    assert "vaderSentiment==3.3.2" in pip[0]
    training, evaluation, held_out = first
    assert (len(held_out), len(evaluation), len(training)) == (HELD_OUT, EVALUATION, 300)
    sentences = [*training, *evaluation, *held_out]
    texts = {sentence.text for sentence in sentences}
    assert len(texts) == COUNT
    assert "neither" not in texts
    known = {Sentence("snippet number 3", 1), Sentence("snippet number 4", 0)}
    assert known <= set(sentences)
    # Not the file's order.
    assert held_out[0].text != "snippet number 0"
