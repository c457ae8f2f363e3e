"""Tokens of a text as parts of its words, and pieces of a vocabulary as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from predictor.protocol.types import Window
    from storage_init.running.runtime import Tokenizer

USUAL_UNKNOWN = ("<unk>", "[UNK]")
# What transformers' ``clean_up_tokenization`` puts together, in its order.
_APART = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


@dataclass(frozen=True, slots=True)
class Token:
    """``place`` among the window's tokens; ``start`` and ``end`` in the text's characters.

    ``continues``: it belongs to the word of the token before it.
    """

    place: int
    piece: str
    start: int
    end: int
    continues: bool


class Vocabulary:
    """What transformers' pipelines ask of a tokenizer beyond ids."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        model = tokenizer.model.model
        self._decoder = tokenizer.model.decoder
        # WordPiece marks what continues a word; other models leave it to the spaces.
        self._marks_words = bool(getattr(model, "continuing_subword_prefix", None))
        self._unknown = _unknown_id(tokenizer)

    def tokens(self, text: str, window: Window) -> list[Token]:
        """The tokens of a window that are of the text itself, in their order."""
        ids, pieces = window.ids.tolist(), window.pieces.tolist()
        spans = window.offsets.tolist()
        return [
            self._token(text, place, ids[place], pieces[place], *spans[place])
            for place in window.places.tolist()
        ]

    def text(self, pieces: Sequence[str]) -> str:
        """Pieces put together as the tokenizer does it."""
        return str(self._decoder.decode(list(pieces))) if self._decoder else " ".join(pieces)

    def _token(self, text: str, place: int, token: int, piece: str, start: int, end: int) -> Token:
        if token == self._unknown:
            return Token(place, text[start:end], start, end, continues=False)
        if self._marks_words:
            continues = len(piece) != end - start
        else:
            continues = start > 0 and " " not in text[start - 1 : start + 1]
        return Token(place, piece, start, end, continues)


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    """The id of what the vocabulary does not have; None if there is none."""
    # Unigram models, and the configurations of byte-level ones, know it by name alone.
    names = (getattr(tokenizer.model.model, "unk_token", None), *USUAL_UNKNOWN)
    ids = (tokenizer.model.token_to_id(name) for name in names if name)
    return next((found for found in ids if found is not None), None)


def cleaned(text: str) -> str:
    """Decoded text without the spaces before its punctuation and its English contractions."""
    for piece in _APART:
        text = text.replace(piece, piece.strip())
    return text
