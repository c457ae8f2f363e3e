"""Two servers of one embedder are compared; a script stands in for the other one's program."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.models import Prepared
from benchmarks.tei import CASES, OURS, PEER, Options, measure, peer_folder, table
from storage_init.format.reading import read_package

if TYPE_CHECKING:
    from pathlib import Path

# Serves our package, whatever folder it is given.
SCRIPT = """#!/bin/sh
for each; do case $each in --port=*) port=${{each#--port=}};; esac; done
exec {python} -m predictor --model_name=m --model_dir={folder} --http_port=$port --grpc_port=0
"""


@pytest.fixture
def prepared(embedder: Path, prepared_embedder: Path) -> Prepared:
    return Prepared("tiny", embedder, prepared_embedder, read_package(prepared_embedder)[0])


def test_every_load_is_measured_on_both_servers(prepared: Prepared, tmp_path: Path) -> None:
    binary = tmp_path / "router"
    binary.write_text(SCRIPT.format(python=sys.executable, folder=prepared.folder))
    binary.chmod(0o755)
    (tmp_path / "logs").mkdir()
    given = Options(binary=binary, folder=tmp_path, rounds=1, seconds=0.1, out=None)
    cases = [case for case in CASES if case.tokens < 64]
    samples = list(measure(prepared, "fp32", 0, given, cases))
    assert {each.server for each in samples} == {PEER, OURS}
    rows = table(samples).rows
    # The start, the memory, and the loads.
    assert len(rows) == 2 + len(cases)
    assert all(len(row) == 5 for row in rows)


def test_the_other_server_gets_a_plain_export_and_its_dynamic_int8(
    prepared: Prepared, tmp_path: Path
) -> None:
    sizes = {}
    for variant in ("fp32", "int8"):
        folder = peer_folder(prepared, variant, tmp_path)
        assert (folder / "config.json").is_file()
        sizes[variant] = sum(path.stat().st_size for path in (folder / "onnx").iterdir())
    assert sizes["int8"] < sizes["fp32"]
