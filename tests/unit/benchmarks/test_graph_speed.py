"""Two packages of a model are compared variant by variant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from benchmarks.graph_speed import BEFORE, NOW, SHAPES, Sample, main
from storage_init.format.reading import read_package
from storage_init.running.providers import CPU

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_every_variant_and_shape_is_measured_in_both_packages(
    prepared_classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, package = tmp_path / "samples.json", str(prepared_classifier)
    assert main(["--before", package, package, "--rounds=1", f"--out={out}"]) == 0
    samples = msgspec.json.decode(out.read_bytes(), type=list[Sample])
    measured = {(each.variant, each.package, (each.texts, each.tokens)) for each in samples}
    described = read_package(prepared_classifier)[0]
    names = [each.name for each in described.variants if each.requires.provider == CPU]
    most = described.limits.max_length
    shapes = [(texts, min(tokens, most)) for texts, tokens in SHAPES]
    wanted = {(name, each, shape) for name in names for each in (BEFORE, NOW) for shape in shapes}
    assert measured == wanted
    assert len(samples) == len(wanted)
    printed = capsys.readouterr().out
    assert all(f"| {name} | 8 x {most} |" in printed for name in names)
