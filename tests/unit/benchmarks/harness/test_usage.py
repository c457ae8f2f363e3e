from __future__ import annotations

import subprocess
import sys

import psutil

from benchmarks.harness.usage import cpu_seconds, memory

CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"


def test_a_servers_children_count() -> None:
    command = [sys.executable, "-c", CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        process = psutil.Process(parent.pid)
        while not process.children():
            pass
        alone = process.memory_full_info().rss / 1e6
        both = memory(process)
        assert both.rss > alone + 1
        assert both.uss <= both.pss <= both.rss
        assert cpu_seconds(process) > 0
        parent.communicate(b"\n")
    assert memory(process).rss == 0
    assert cpu_seconds(process) == 0
