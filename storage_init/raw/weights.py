"""Checks that the files of a folder's weights are whole, and reads their headers.

A safetensors file begins with a header in JSON: the shape, type and place of each tensor. We read
it ourselves because the library does not say how many bytes of a truncated file are missing.
Source: the format's description in the safetensors repository.
"""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING

import msgspec

from storage_init.base.errors import SourceError
from storage_init.raw.sentence_config import read_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
# A file that Git LFS did not download begins so.
POINTER = b"version https://git-lfs.github.com/spec/"
POINTER_BYTES = 1024
# Before the header stands its size, an integer of so many bytes.
SIZE_BYTES = 8
MAX_HEADER_BYTES = 100 << 20
FP32_BYTES = 4
# A model's own weights, and those of an embedder's first module.
PLACES = ("*.safetensors", "0_*/*.safetensors")


class Tensor(msgspec.Struct, frozen=True):
    """A tensor as a header states it."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


class _Index(msgspec.Struct):
    """The file of each tensor of a model whose weights are in several files."""

    weight_map: dict[str, str] = {}


def check_whole(paths: Iterable[Path]) -> None:
    """Check that files are the files themselves, and safetensors as long as they state.

    Raises:
        SourceError: names the file, what is wrong with it, and what to do.
    """
    for path in sorted(paths):
        if path.stat().st_size <= POINTER_BYTES and path.read_bytes().startswith(POINTER):
            raise SourceError(
                f"{path} is a pointer of Git LFS, not the file itself: run `git lfs pull` in its "
                "repository, or name the repository as hf://owner/name"
            )
        if path.suffix == ".safetensors":
            read_header(path)


def check_shards(folder: Path, names: Collection[str]) -> None:
    """Check that ``names`` has every file of weights that the index in ``folder`` names.

    Raises:
        SourceError: names the first that is missing, or the index if that is missing.
    """
    if SINGLE_FILE in names:  # transformers reads no other, then
        return
    index = read_json(folder / INDEX_FILE, _Index)
    if index is None:
        if shards := _shards(names):
            raise SourceError(
                f"{folder}/{INDEX_FILE} is missing, without which {shards[0]} is not read: "
                "copy or download the whole repository again"
            )
        return
    if lacking := sorted({*index.weight_map.values()} - {*names}):
        raise SourceError(
            f"{folder}/{lacking[0]} is missing, which {INDEX_FILE} names: copy or download the "
            "whole repository again"
        )


def read_header(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by their names.

    Raises:
        SourceError: the file is not safetensors, or does not end where its header says.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(SIZE_BYTES), "little")
        header = file.read(length) if length <= MAX_HEADER_BYTES else b""
    try:
        stated = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        stated.pop("__metadata__", None)
        tensors = {name: msgspec.json.decode(raw, type=Tensor) for name, raw in stated.items()}
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        what = "is not a whole safetensors file" if size else "is empty"
        raise SourceError(f"{path} {what}: copy or download it again") from error
    end = SIZE_BYTES + length + max((t.data_offsets[1] for t in tensors.values()), default=0)
    if size != end:
        raise SourceError(
            f"{path} has {size} bytes, but its header describes {end}: copy or download it again"
        )
    return tensors


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of a model's safetensors files by their names.

    Raises:
        SourceError: as :func:`read_header`.
    """
    paths = sorted(path for place in PLACES for path in folder.glob(place))
    return {name: tensor for path in paths for name, tensor in read_header(path).items()}


def file_of(folder: Path, name: str) -> Path:
    """Return the file that a tensor belongs into; the index, if that does not name the tensor."""
    index = read_json(folder / INDEX_FILE, _Index)
    if index is None or (folder / SINGLE_FILE).exists():
        return folder / SINGLE_FILE
    return folder / index.weight_map.get(name, INDEX_FILE)


def bytes_in_fp32(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of tensors in FP32, whatever their stored type."""
    return FP32_BYTES * sum(prod(tensor.shape) for tensor in tensors)


def _shards(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if SHARD.fullmatch(name))
