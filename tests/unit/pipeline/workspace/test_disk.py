"""The disk space that a preparation needs, and the refusal before it begins."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from safetensors.numpy import save_file

from pipeline.recipe.recipe import Fp32, Int8, Recipe, Search
from pipeline.workspace import disk
from pipeline.workspace.workspace import Workspace
from storage_init.base.errors import NoSpaceError

if TYPE_CHECKING:
    from pathlib import Path

GIGABYTE = 1_000_000_000


class Usage(NamedTuple):
    free: int


def test_the_variants_of_a_recipe_decide_the_space() -> None:
    both = disk.needed(GIGABYTE, Recipe())
    assert 4 * GIGABYTE < both < 6 * GIGABYTE
    only_fp32 = disk.needed(GIGABYTE, Recipe(variants=("fp32",)))
    assert only_fp32 < both < disk.needed(GIGABYTE, Recipe(fp32=Fp32(packed=True)))
    plain = Recipe(int8=Int8(packed=False, search=Search(max_excluded=0)))
    assert only_fp32 < disk.needed(GIGABYTE, plain) < both


def test_weights_count_as_fp32_whatever_their_type_and_graphs_count_with_their_weights(
    tmp_path: Path,
) -> None:
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"graph")
    (tmp_path / "onnx" / "model.onnx_data").write_bytes(b"weights")
    assert disk.fp32_bytes(tmp_path) == len(b"graph" + b"weights")
    save_file({"a": np.zeros((3, 4), np.float16)}, tmp_path / "model-1.safetensors")
    save_file({"b": np.zeros(5, np.float32)}, tmp_path / "model-2.safetensors")
    assert disk.fp32_bytes(tmp_path) == 4 * (12 + 5)


def test_weights_of_16_bits_count_twice_whether_their_headers_are_there_or_not(
    tmp_path: Path,
) -> None:
    weights = tmp_path / "model.safetensors"
    save_file({"a": np.zeros(100_000, np.float16)}, weights)
    needed = {"model.safetensors": weights.stat().st_size, "tokenizer.json": 10}
    (tmp_path / "config.json").write_text('{"dtype": "float16"}')
    by_header = disk.Sizes.read(tmp_path, needed)
    weights.unlink()
    by_config = disk.Sizes.read(tmp_path, needed)
    assert by_header.fp32 == 400_000
    assert by_header.fp32 == pytest.approx(by_config.fp32, rel=0.01)
    assert by_header.files == sum(needed.values())
    (tmp_path / "config.json").write_text('{"torch_dtype": "float32"}')
    assert disk.Sizes.read(tmp_path, needed).fp32 < by_header.fp32 / 1.9


def test_too_little_space_is_refused_with_both_figures(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path)
    workspace.source.symlink_to(classifier)
    wanted = disk.needed(disk.fp32_bytes(classifier), Recipe()) + disk.MARGIN
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(wanted))
    disk.check(workspace, Recipe())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(wanted - 1))
    with pytest.raises(
        NoSpaceError, match=r"the preparation needs [\d.]+ MB more, but .* has only"
    ):
        disk.check(workspace, Recipe())
