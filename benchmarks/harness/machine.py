"""This machine and the versions on it, as reports describe them; byte code of what starts on it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import sysconfig
from importlib import metadata
from importlib.util import cache_from_source, find_spec
from pathlib import Path

import msgspec
import psutil

from benchmarks.harness.plans import ROOT
from storage_init.base import cpus

PACKAGES = (
    *("warmstart", "kserve", "onnxruntime", "tokenizers", "numpy", "uvicorn", "uvloop", "grpcio"),
    *("torch", "transformers", "sentence-transformers", "mosec", "onnxruntime-ep-openvino"),
)
# The CPU features that decide which kernels run.
FEATURES = (
    *("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),
)

PROJECT = ("predictor", "storage_init", "pipeline", "benchmarks")
# PyTorch's own tests are partly written for a later Python.
SKIPPED = r"torch/testing/_internal|/tests?/"


class Machine(msgspec.Struct, frozen=True):
    """A machine; ``load_average`` is that of the minute before the benchmark began."""

    cpu: str
    cpus: int
    features: list[str]
    memory_gb: float
    kernel: str
    python: str
    packages: dict[str, str]
    load_average: float

    def text(self) -> str:
        """Describe it in one paragraph for a report."""
        versions = ", ".join(f"{name} {version}" for name, version in self.packages.items())
        return (
            f"{self.cpus} CPUs of {self.cpu} ({' '.join(self.features)}), {self.memory_gb:.0f} GB, "
            f"Linux {self.kernel}, Python {self.python}, {versions}. "
            f"Load average at the start: {self.load_average:.1f}."
        )


def describe() -> Machine:
    """Describe this machine as this process sees it."""
    known = cpus.cpu_features()
    return Machine(
        cpu=cpus.cpu_model(),
        cpus=cpus.usable_cpus(),
        features=[name for name in FEATURES if name in known],
        memory_gb=psutil.virtual_memory().total / 1e9,
        kernel=platform.release(),
        python=platform.python_version(),
        packages={name: version for name in PACKAGES if (version := _version(name))},
        load_average=os.getloadavg()[0],
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def ensure_compiled() -> None:
    """Compile the installed packages and the project; quick if that was done before.

    Without byte code every start looks several times slower.

    Raises:
        RuntimeError: KServe's modules, which every start imports, have none afterwards.
    """
    folders = [sysconfig.get_path("purelib"), *(str(ROOT / name) for name in PROJECT)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    # Files in a syntax that this Python does not know make it fail; nothing here imports them.
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "-j0", "-x", SKIPPED, *folders],
        env=environment,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    kserve = find_spec("kserve")
    if not (kserve and kserve.origin and Path(cache_from_source(kserve.origin)).exists()):
        raise RuntimeError(
            "no byte code could be written, so no start can be measured: make "
            f"{folders[0]} writable or compile it with python -m compileall"
        )
