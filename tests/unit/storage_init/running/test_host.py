"""What the host is: CPU features, quotas and what they rule out."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

import pytest

from storage_init.base import cpus
from storage_init.format.package import Requires
from storage_init.running import host

if TYPE_CHECKING:
    from pathlib import Path

X86_VNNI = """processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz
flags\t\t: fpu sse2 avx2 avx512f avx512_vnni
vmx flags\t: vnmi preemption_timer

processor\t: 1
model name\t: Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz
flags\t\t: fpu sse2 avx2 avx512f avx512_vnni
"""
X86_AVX_VNNI = "model name\t: Intel(R) Core(TM) Ultra\nflags\t\t: fpu sse2 avx2 avx_vnni\n"
X86_OLD = "model name\t: Intel(R) Xeon(R) E5-2686 v4\nflags\t\t: fpu sse2 avx2\n"
ARM = "processor\t: 0\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd evtstrm asimddp\n"


def cpuinfo(folder: Path, text: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "features"),
    [
        (X86_VNNI, {"fpu", "sse2", "avx2", "avx512f", "avx512_vnni"}),
        (X86_OLD, {"fpu", "sse2", "avx2"}),
        (ARM, {"fp", "asimd", "evtstrm", "asimddp"}),
    ],
)
def test_features_are_read_as_linux_lists_them(
    tmp_path: Path, text: str, features: set[str]
) -> None:
    assert cpus.cpu_features(cpuinfo(tmp_path, text)) == features


@pytest.mark.parametrize(
    ("machine", "features"), [("arm64", {"asimd"}), ("aarch64", {"asimd"}), ("x86_64", set())]
)
def test_without_cpuinfo_only_what_every_such_machine_has_is_assumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, features: set[str]
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert cpus.cpu_features(tmp_path / "none") == features


@pytest.mark.parametrize(
    ("text", "exact"), [(X86_VNNI, True), (X86_AVX_VNNI, True), (ARM, True), (X86_OLD, False)]
)
def test_int8_runs_only_where_its_arithmetic_is_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, exact: bool
) -> None:
    features = cpus.cpu_features(cpuinfo(tmp_path, text))
    monkeypatch.setattr(cpus, "cpu_features", lambda: features)
    assert host.unmet(Requires()) is None
    reason = None if exact else "this CPU has none of avx512_vnni, avx_vnni, asimd"
    assert host.unmet(Requires(cpu_any_of=host.EXACT_INT8)) == reason


@pytest.fixture
def packed_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Requires:
    """What was packed on the VNNI machine; the host is that machine until a test moves it."""
    path, read = cpuinfo(tmp_path, X86_VNNI), cpus.cpu_features
    monkeypatch.setattr(cpus, "cpu_features", lambda: read(path))
    return Requires(cpu_exactly=host.kernel_features(), onnxruntime="1.32.0")


def test_packed_weights_are_used_where_they_were_packed(packed_here: Requires) -> None:
    assert packed_here.cpu_exactly == ["avx2", "avx512_vnni", "avx512f"]
    assert host.unmet(packed_here, "1.32.0") is None


@pytest.mark.parametrize(
    ("text", "differ"),
    [
        (X86_OLD, "avx512_vnni, avx512f"),
        (X86_AVX_VNNI, "avx512_vnni, avx512f, avx_vnni"),
        (X86_VNNI.replace("avx512_vnni", "avx512_vnni amx_int8"), "amx_int8"),
        (ARM, "asimd, asimddp, avx2, avx512_vnni, avx512f"),
        ("nothing known", "avx2, avx512_vnni, avx512f"),
    ],
)
def test_packed_weights_are_never_used_on_a_cpu_with_more_or_fewer_features(
    packed_here: Requires, tmp_path: Path, text: str, differ: str
) -> None:
    cpuinfo(tmp_path, text)
    reason = f"its weights are packed for a CPU with other features: {differ}"
    assert host.unmet(packed_here, "1.32.0") == reason


def test_packed_weights_are_never_used_by_another_onnxruntime(packed_here: Requires) -> None:
    assert host.unmet(packed_here, "1.32.1") == "it needs onnxruntime 1.32.0, not 1.32.1"
    assert host.unmet(packed_here) == "it needs onnxruntime 1.32.0, not None"


def test_a_feature_that_no_kernel_is_chosen_by_does_not_matter(
    packed_here: Requires, tmp_path: Path
) -> None:
    cpuinfo(tmp_path, X86_VNNI.replace("fpu", "fpu erms"))
    assert host.unmet(packed_here, "1.32.0") is None


def test_the_processors_name_is_read(tmp_path: Path) -> None:
    name = "Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz"
    assert cpus.cpu_model(cpuinfo(tmp_path, X86_VNNI)) == name
    assert cpus.cpu_model(cpuinfo(tmp_path, ARM))


@pytest.fixture
def _many_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.usefixtures("_many_cpus")
@pytest.mark.parametrize(
    ("quota", "count"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("10000 100000", 1),
        ("1600000 100000", 8),
        ("0 100000", 1),
        ("100000 0", 8),
        ("nonsense", 8),
        ("", 8),
    ],
)
def test_a_cgroup_v2_quota_limits_the_cpus(tmp_path: Path, quota: str, count: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert cpus.usable_cpus(tmp_path) == count


@pytest.mark.usefixtures("_many_cpus")
@pytest.mark.parametrize(("quota", "count"), [("-1", 8), ("250000", 3), ("5000", 1)])
def test_a_cgroup_v1_quota_limits_the_cpus(tmp_path: Path, quota: str, count: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cpus.usable_cpus(tmp_path) == count


@pytest.mark.usefixtures("_many_cpus")
def test_without_a_cgroup_the_affinity_counts(tmp_path: Path) -> None:
    assert cpus.usable_cpus(tmp_path) == 8
