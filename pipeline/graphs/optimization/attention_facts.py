"""What an export knows of a model's attention and its graph does not say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "attention.json"


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


UNKNOWN: Final = AttentionFacts(lowest_mask=False)
