"""The machine and the versions a report is about."""

from __future__ import annotations

import os
import platform
from importlib import metadata

import msgspec
import psutil

from storage_init.base import cpus

PACKAGES = (
    *("warmstart", "kserve", "onnxruntime", "tokenizers", "numpy", "uvicorn", "uvloop", "grpcio"),
    *("torch", "transformers", "optimum-onnx", "mosec", "onnxruntime-ep-openvino"),
)
# Of hundreds, those that decide which kernels run.
FEATURES = (
    *("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),
)


class Machine(msgspec.Struct, frozen=True):
    """``load_average``: of the last minute, when the benchmark began."""

    cpu: str
    cpus: int
    features: list[str]
    memory_gb: float
    kernel: str
    python: str
    packages: dict[str, str]
    load_average: float

    def text(self) -> str:
        """One paragraph for a report."""
        versions = ", ".join(f"{name} {version}" for name, version in self.packages.items())
        return (
            f"{self.cpus} CPUs of {self.cpu} ({' '.join(self.features)}), {self.memory_gb:.0f} GB, "
            f"Linux {self.kernel}, Python {self.python}, {versions}. "
            f"Load average at the start: {self.load_average:.1f}."
        )


def describe() -> Machine:
    """This machine, as this process sees it."""
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
