"""The CPU's name and features, and the CPUs and the memory that a container may use."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

import pytest

from storage_init.base import cpus
from storage_init.base.cpus import cpu_features, cpu_model, memory_limit, usable_cpus

if TYPE_CHECKING:
    from pathlib import Path

X86 = """processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz
flags\t\t: fpu avx2 avx512_vnni
vmx flags\t: vnmi preemption_timer

processor\t: 1
model name\t: Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz
flags\t\t: fpu avx2 avx512_vnni
"""
ARM = "processor\t: 0\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd asimddp\n"
CPUS = 8


XEON = "Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz"


@pytest.mark.parametrize(
    ("machine", "text", "features", "name"),
    [
        ("x86_64", X86, {"fpu", "avx2", "avx512_vnni"}, XEON),
        ("aarch64", ARM, {"fp", "asimd", "asimddp"}, "aarch64"),
        # An emulated machine sees its host's file.
        ("aarch64", X86, {"asimd"}, XEON),
        ("x86_64", ARM, set(), "x86_64"),
    ],
)
def test_cpuinfo_has_the_features_and_the_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    machine: str,
    text: str,
    features: set[str],
    name: str,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "processor", lambda: machine)
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    assert cpu_features(path) == features
    assert cpu_model(path) == name


@pytest.mark.parametrize(
    ("machine", "features"), [("arm64", {"asimd"}), ("aarch64", {"asimd"}), ("x86_64", set())]
)
def test_without_cpuinfo_only_the_features_of_every_such_machine_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, features: set[str]
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert cpu_features(tmp_path / "none") == features


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({}, CPUS),
        *(({"cpu.max": quota}, CPUS) for quota in ("max 100000", "1600000 100000")),
        *(({"cpu.max": quota}, CPUS) for quota in ("100000 0", "nonsense", "")),
        *(({"cpu.max": quota}, 2) for quota in ("200000 100000", "150000 100000")),
        *(({"cpu.max": quota}, 1) for quota in ("10000 100000", "0 100000")),
        *(
            ({"cpu/cpu.cfs_quota_us": quota, "cpu/cpu.cfs_period_us": "100000"}, count)
            for quota, count in (("-1", CPUS), ("250000", 3), ("5000", 1))
        ),
    ],
)
def test_a_quota_of_cgroup_v1_or_v2_limits_the_cpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], count: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(CPUS)), raising=False)
    (tmp_path / "cpu").mkdir()
    for path, content in files.items():
        (tmp_path / path).write_text(f"{content}\n")
    assert usable_cpus(tmp_path) == count


V1 = "memory/memory.limit_in_bytes"


@pytest.mark.parametrize(
    ("name", "text", "limit"),
    [
        ("memory.max", "1073741824\n", 1 << 30),
        ("memory.max", "max\n", None),
        (V1, "1073741824\n", 1 << 30),
        (V1, "9223372036854771712\n", None),
        ("other", "", None),
    ],
)
def test_a_limit_of_cgroup_v1_or_v2_is_read(
    tmp_path: Path, name: str, text: str, limit: int | None
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert memory_limit(tmp_path) == limit


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/pod/container\n", "pod/container/memory.max"),
        ("1:cpu:/\n9:memory:/pod\n", "memory/pod/memory.limit_in_bytes"),
    ],
)
def test_the_memory_limit_of_the_process_own_group_counts_too(
    groups: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.write_text(groups)
    monkeypatch.setattr(cpus, "OWN_GROUPS", own)
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("1000000\n")
    assert memory_limit(tmp_path) == 1_000_000
    (tmp_path / "memory.max").write_text("500000\n")
    assert memory_limit(tmp_path) == 500_000
