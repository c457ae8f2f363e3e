"""What an export knows of a model's attention and its graph does not say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from storage_init.raw.sentence_config import read_json

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "attention.json"
# Settings of models whose tokens see their neighbours alone, or the tokens before them.
_PARTIAL = ("sliding_window", "local_attention", "attention_window", "is_decoder")


class AttentionFacts(msgspec.Struct, frozen=True):
    """The number of heads, the width of the states, and whether masks only hide padding.

    0 stands for an unknown number. A graph of unknown origin has ``UNKNOWN``.
    """

    heads: int = 0
    width: int = 0
    plain_masks: bool = True
    # transformers masks with the lowest number, as its exports by optimum state in the graph.
    lowest_mask: bool = True

    def save(self, folder: Path) -> None:
        """Write the facts beside an exported graph."""
        (folder / FILE).write_bytes(msgspec.json.encode(self))

    @classmethod
    def load(cls, folder: Path) -> AttentionFacts:
        """Read the facts beside a graph; without any, it is of unknown origin."""
        path = folder / FILE
        return msgspec.json.decode(path.read_bytes(), type=cls) if path.exists() else UNKNOWN

    @classmethod
    def stated(cls, source: Path) -> AttentionFacts:
        """What a configuration states of the attention in a graph that somebody else exported."""
        config = read_json(source / "config.json", dict[str, Any]) or {}
        heads = config.get("num_attention_heads", config.get("n_heads"))
        width = config.get("hidden_size", config.get("dim"))
        if not isinstance(heads, int) or not isinstance(width, int):
            return UNKNOWN
        plain = not any(config.get(name) for name in _PARTIAL)
        return cls(heads, width, plain_masks=plain, lowest_mask=False)


UNKNOWN: Final = AttentionFacts(lowest_mask=False)
