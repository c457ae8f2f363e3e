"""Files of weights: whether they are whole, and what their headers state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save, save_file

from storage_init.base.errors import SourceError
from storage_init.raw.weights import (
    INDEX_FILE,
    bytes_in_fp32,
    check_shards,
    check_whole,
    read_header,
    read_tensors,
)

if TYPE_CHECKING:
    from pathlib import Path

TENSORS = {"a": np.zeros((3, 4), np.float16), "b": np.ones(5, np.float32)}
WHOLE = save(TENSORS, {"format": "pt"})


def test_a_header_is_what_the_library_wrote(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "model.safetensors", {"format": "pt"})
    found = read_tensors(tmp_path)
    assert {name: (each.dtype, each.shape) for name, each in found.items()} == {
        "a": ("F16", [3, 4]),
        "b": ("F32", [5]),
    }
    assert bytes_in_fp32(found.values()) == 4 * (12 + 5)


@given(st.integers(0, len(WHOLE) + 8))
def test_what_the_library_cannot_open_is_refused(
    tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "model.safetensors"
    path.write_bytes((WHOLE + bytes(8))[:length])
    try:
        with safe_open(path, "np"):
            opens = True
    except (SafetensorError, OSError):
        opens = False
    if opens:
        read_header(path)
    else:
        with pytest.raises(SourceError, match="copy or download it again"):
            read_header(path)


def test_a_pointer_of_git_lfs_is_named_whatever_it_stands_for(tmp_path: Path) -> None:
    pointer = tmp_path / "tokenizer.json"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(SourceError, match=r"tokenizer\.json is a pointer of Git LFS"):
        check_whole([pointer])


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["model-1-of-2.safetensors", "model-2-of-2.safetensors"], None),
        (["model-1-of-2.safetensors"], "model-2-of-2.safetensors is missing, which"),
    ],
)
def test_every_file_of_the_index_must_be_there(
    names: list[str], missing: str | None, tmp_path: Path
) -> None:
    every = {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}
    (tmp_path / INDEX_FILE).write_text(json.dumps({"metadata": {}, "weight_map": every}))
    if missing is None:
        check_shards(tmp_path, names)
    else:
        with pytest.raises(SourceError, match=missing):
            check_shards(tmp_path, names)


def test_several_files_without_their_index_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=f"{INDEX_FILE} is missing"):
        check_shards(tmp_path, ["model-1-of-2.safetensors", "model-2-of-2.safetensors"])
    check_shards(tmp_path, ["model.safetensors", "model-1-of-2.safetensors"])
    check_shards(tmp_path, ["a/model-1-of-2.safetensors"])
