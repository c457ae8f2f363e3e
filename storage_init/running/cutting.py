"""Finds places where a long text can be cut without a change to the tokens before the cut.

A cut lies between a letter or digit and a character that starts a new word for the tokenizer. Every
step of the tokenizer must be known, and must treat the text before such a place by itself:

- normalizers work on single characters, on a base with its combining marks or on a grapheme. A new
  one begins at whitespace and punctuation. ``Strip`` finds no whitespace before a cut.
- added tokens may not contain a place where a cut is possible; one that ends at a cut ends at a
  word's end with and without the rest of the text.
- a pre-tokenizer splits there, so that the model (WordPiece, Unigram, BPE) never sees both sides.

Other tokenizers get no cuts.
"""

from __future__ import annotations

import json
import re
import string
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tokenizers import models

if TYPE_CHECKING:
    from collections.abc import Iterable

    import tokenizers

_SPACE = "\n\t "
# Without "_", which regular expressions count as a letter, and "<=>", which a combining stroke
# turns into other characters.
_PUNCTUATION = "!\"#$%&'()*+,-./:;?@[\\]^`{|}~" + "\u3002\uff0c\u3001\uff01\uff1f"
# Letters and digits that stay letters in every normal form: ASCII, CJK, Hangul.
_LETTERS = "A-Za-z0-9\u4e00-\u9fa5\uac00-\ud7a3"
# Letters that may become a letter and an accent, which belongs to no word for some pre-tokenizers:
# Latin, Greek, Cyrillic, Hebrew, Arabic, Devanagari, kana.
_ACCENTED = (
    "\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0391-\u03a1\u03a3-\u03c9\u0400-\u045f"
    "\u05d0-\u05ea\u0621-\u063a\u0641-\u064a\u0905-\u0939\u3041-\u3094\u30a1-\u30fa"
)
_NORMALIZERS = frozenset(
    ("BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled")
) | {"Strip", "StripAccents"}
# Regular expressions that keep letters and digits apart from spaces and punctuation after them:
# those of GPT-2, cl100k (Llama 3) and Qwen 2.
_WORD_PATTERNS = frozenset(
    (
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    )
)


def cuts_of(tokenizer: tokenizers.Tokenizer) -> re.Pattern[str] | None:
    """Return a pattern that matches the character after each possible cut, None if none is."""
    steps = _steps(tokenizer.normalizer, "normalizers")
    splits = _splits(_steps(tokenizer.pre_tokenizer, "pretokenizers"))
    if not (splits and all(map(_is_local, steps)) and _is_exact(tokenizer.model)):
        return None
    inside = _inside_added_tokens(tokenizer)
    space, punctuation = (
        "".join(re.escape(each) for each in found if not inside & _forms(tokenizer, each))
        for found in (
            [each for each in _SPACE if _normalized(tokenizer, f"a{each}a") in splits],
            [each for each in _PUNCTUATION if "punctuation" in splits]
            and [each for each in _PUNCTUATION if _stays_punctuation(tokenizer, each)],
        )
    )
    parts = [f"(?<=[{_LETTERS}])[{space}]"] if space else []
    after_accents = space.replace(re.escape("\n"), "") if _joins_newlines(tokenizer) else space
    parts += [f"(?<=[{_ACCENTED}])[{after_accents}]"] if after_accents else []
    parts += [f"(?<=[{_LETTERS}])[{punctuation}]"] if punctuation else []
    return re.compile("|".join(parts)) if parts else None


def _steps(component: Any, name: str) -> list[dict[str, Any]]:
    """The steps of a normalizer or pre-tokenizer, as ``tokenizer.json`` has them."""
    if component is None:
        return []
    step = json.loads(component.__getstate__())
    return list(_flat(step, name))


def _flat(step: dict[str, Any], name: str) -> Iterable[dict[str, Any]]:
    if step["type"] == "Sequence":
        for each in step[name]:
            yield from _flat(each, name)
    else:
        yield step


def _is_exact(model: Any) -> bool:
    """Whether a model turns each piece into the same tokens every time."""
    if isinstance(model, models.BPE):
        return not model.dropout
    return isinstance(model, models.WordPiece | models.WordLevel | models.Unigram)


def _is_local(normalizer: dict[str, Any]) -> bool:
    if normalizer["type"] != "Replace":
        return normalizer["type"] in _NORMALIZERS
    pattern, content = normalizer["pattern"], normalizer["content"]
    known = pattern.get("Regex") == " {2,}" or _is_marks(pattern.get("String", ""))
    return known and _is_marks(content)


def _is_marks(text: str) -> bool:
    return bool(text) and all(each in f" ▁{string.punctuation}" for each in text)


def _splits(pre_tokenizers: list[dict[str, Any]]) -> set[str]:
    """Between which characters the pre-tokenizers always split; empty if one is not known.

    "punctuation", and whitespace as "a a" or as any of the other characters between letters.
    """
    found: set[str] = set()
    every_space = {f"a{each}a" for each in _SPACE}
    for place, step in enumerate(pre_tokenizers):
        kind, last = step["type"], place == len(pre_tokenizers) - 1
        if kind == "Digits" or (kind == "ByteLevel" and last and not step["use_regex"]):
            continue
        if kind in ("BertPreTokenizer", "Whitespace") or (kind == "ByteLevel" and last):
            found |= {"punctuation", *every_space}
        elif kind == "WhitespaceSplit":
            found |= every_space
        elif kind == "Punctuation" and step.get("behavior") == "Isolated":
            found.add("punctuation")
        elif kind == "Metaspace" and last:
            # It splits before the mark that it, or a normalizer, puts in place of a space.
            found |= {"a a", f"a{step['replacement']}a"} if step.get("split", True) else set()
        elif kind == "Split" and _is_of_words(step):
            found |= {"punctuation", *every_space}
        else:
            return set()
    return found


def _is_of_words(split: dict[str, Any]) -> bool:
    known = split["pattern"].get("Regex") in _WORD_PATTERNS
    return known and split["behavior"] == "Isolated" and not split["invert"]


def _joins_newlines(tokenizer: tokenizers.Tokenizer) -> bool:
    """Whether an accent that became a character of its own takes the newline after it along."""
    steps = _steps(tokenizer.pre_tokenizer, "pretokenizers")
    splits = (step["pattern"].get("Regex", "") for step in steps if step["type"] == "Split")
    return any(r"[\r\n]*" in pattern for pattern in splits)


def _normalized(tokenizer: tokenizers.Tokenizer, text: str) -> str:
    normalizer = tokenizer.normalizer
    return text if normalizer is None else str(normalizer.normalize_str(text))


def _stays_punctuation(tokenizer: tokenizers.Tokenizer, character: str) -> bool:
    found = _normalized(tokenizer, f"a{character}a")
    return len(found) == 3 and found[1] in _PUNCTUATION and found[0] == found[2] == "a"


def _inside_added_tokens(tokenizer: tokenizers.Tokenizer) -> set[str]:
    """The characters that follow one that may be part of a word, in any added token."""
    contents = [added.content for added in tokenizer.get_added_tokens_decoder().values()]
    return {
        after
        for content in contents
        for text in (content, _normalized(tokenizer, content))
        for before, after in pairwise(text)
        if not (before.isspace() or before in string.punctuation)
    }


def _forms(tokenizer: tokenizers.Tokenizer, character: str) -> set[str]:
    """A character, and what it becomes between letters."""
    return {character, _normalized(tokenizer, f"a{character}a").strip("a")}
