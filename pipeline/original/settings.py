"""Refuses a source for a setting that would change its answers and is not known here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.original.kinds import check_kind
from pipeline.original.known_keys import (
    ANY,
    CONFIG,
    DENSE,
    MODEL,
    MODULE,
    NORMALIZE,
    POOLING,
    TOKENIZER,
    TRANSFORMER,
    Keys,
)
from storage_init.base.errors import SourceError
from storage_init.raw.hf_config import TOKENIZER_CONFIG
from storage_init.raw.sentence_config import MODULES_FILE, SETTINGS_FILE, read_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

# Older versions of sentence-transformers name the file after the model.
TRANSFORMER_FILES = "sentence_*_config.json"
_MODULES = {"Pooling": POOLING, "Dense": DENSE, "Normalize": NORMALIZE}
SHOWN = 60


def check_settings(
    folder: Path, accepted: Collection[str] = (), names: Collection[str] = ()
) -> None:
    """Check the kind and all settings of a source, without PyTorch.

    Args:
        folder: the source's files but its weights.
        accepted: keys that the user accepts though their meaning is not honoured.
        names: the paths of all its files.

    Raises:
        SourceError: names the file, the key and its value, and what to do.
    """
    config = read_json(folder / "config.json", dict[str, Any]) or {}
    check_kind(folder, config, names)
    for path, stated, known in _stated(folder, config):
        for key, value in stated.items():
            if key not in accepted:
                _check(path, key, value, known)


def _check(path: Path, key: str, value: object, known: Keys) -> None:
    way_out = f"prepare it all the same with --accept-unknown {key}, which leaves it out"
    if key not in known:
        raise SourceError(f"{path} states {key}, which is not known here: {way_out}")
    values = known[key]
    if values is not ANY and value not in values:
        text = repr(value)
        shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
        raise SourceError(f"{path} states {key} {shown}, which is not supported: {way_out}")


def _stated(folder: Path, config: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any], Keys]]:
    """Each file of settings with what it states, and the keys that are known of it."""
    yield folder / "config.json", {k: v for k, v in config.items() if k in CONFIG}, CONFIG
    for path in sorted(folder.glob(TRANSFORMER_FILES)):
        yield path, _read(path), TRANSFORMER
    yield folder / SETTINGS_FILE, _read(folder / SETTINGS_FILE), MODEL
    yield folder / TOKENIZER_CONFIG, _read(folder / TOKENIZER_CONFIG), TOKENIZER
    modules = read_json(folder / MODULES_FILE, list[dict[str, Any]]) or []
    for module in modules:
        yield folder / MODULES_FILE, module, MODULE
        keys = _MODULES.get(str(module.get("type", "")).rpartition(".")[2])
        if keys is not None:
            path = folder / str(module.get("path", "")) / "config.json"
            yield path, _read(path), keys


def _read(path: Path) -> dict[str, Any]:
    return read_json(path, dict[str, Any]) or {}
