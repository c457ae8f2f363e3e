"""The tokens of a text as parts of its words, and the pieces of a vocabulary as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from predictor.protocol.types import Window
    from storage_init.running.tokenizer import Tokenizer

USUAL_UNKNOWN = ("<unk>", "[UNK]")
# What transformers' `clean_up_tokenization` joins, in its order.
_APART = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a text.

    ``position``: its index in the window. ``start`` and ``end``: characters of the text.
    ``continues``: it belongs to the word of the token before it.
    """

    position: int
    piece: str
    start: int
    end: int
    continues: bool


class Vocabulary:
    """What transformers' pipelines need from a tokenizer beyond ids."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        model = tokenizer.model.model
        self._decoder = tokenizer.model.decoder
        # WordPiece marks the pieces that continue a word; for other models the spaces decide.
        self._marks_words = bool(getattr(model, "continuing_subword_prefix", None))
        # Unigram models, and the configurations of byte-level ones, know it by name only.
        names = (getattr(model, "unk_token", None), *USUAL_UNKNOWN)
        ids = (tokenizer.model.token_to_id(name) for name in names if name)
        self._unknown = next((found for found in ids if found is not None), None)
        # Not the encoding's own: Unigram has the text in place of the token that its model takes
        # for unknown, which need not be the tokenizer's. RemBERT's is `[CLS]`.
        self._spelling = tokenizer.model.id_to_token

    def tokens(self, text: str, window: Window) -> list[Token]:
        """The tokens of a window that belong to the text itself, in their order."""
        ids, spans = window.ids.tolist(), window.offsets.tolist()
        return [
            self._token(text, position, ids[position], *spans[position])
            for position in window.positions.tolist()
        ]

    def text(self, pieces: Sequence[str]) -> str:
        """Pieces joined as the tokenizer joins them."""
        return str(self._decoder.decode(list(pieces))) if self._decoder else " ".join(pieces)

    def _token(self, text: str, position: int, token: int, start: int, end: int) -> Token:
        if token == self._unknown:
            return Token(position, text[start:end], start, end, continues=False)
        piece = self._spelling(token) or ""
        if self._marks_words:
            continues = len(piece) != end - start
        else:
            continues = start > 0 and " " not in text[start - 1 : start + 1]
        return Token(position, piece, start, end, continues)


def remove_spaces(text: str) -> str:
    """Decoded text without the spaces before its punctuation and its English contractions."""
    for piece in _APART:
        text = text.replace(piece, piece.strip())
    return text
