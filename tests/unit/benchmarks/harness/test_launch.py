from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from benchmarks.harness.http import ServerFailedError
from benchmarks.harness.launch import Server, cpu_seconds, launch, loading_seconds, memory

if TYPE_CHECKING:
    from pathlib import Path


def test_loading_is_the_total_without_its_checks() -> None:
    assert loading_seconds({"total": 1.0, "selftest": 0.2, "warmup": 0.3}) == pytest.approx(0.5)
    assert loading_seconds({}) is None


def test_a_server_that_ends_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    with (
        pytest.raises(ServerFailedError, match=r"(?s)nonesuch ended, 1; .*No module named"),
        launch(Server("nonesuch", "benchmarks.servers.nonesuch"), tmp_path),
    ):
        pass


def test_a_servers_children_count() -> None:
    child = "held = bytearray(b'x' * 20_000_000); print('held', flush=True); input()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        process = psutil.Process(parent.pid)
        assert parent.stdout is not None
        parent.stdout.readline()
        alone = process.memory_full_info().rss / 1e6
        both = memory(process)
        assert both.rss > alone + 20
        assert both.uss <= both.pss <= both.rss
        assert cpu_seconds(process) > 0
        parent.communicate(b"\n")
    assert memory(process).rss == 0
    assert cpu_seconds(process) == 0
