"""Processes that take their CPU for another: its vendor and its features are parameters.

OpenVINO runs on every x86 CPU, with bfloat16 or without. Its plugin for ONNX Runtime only asks for
the vendor, so a test can have it offer a CPU, or refuse one, on any host.
"""

from __future__ import annotations

import ctypes
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from storage_init.base import cpus
from storage_init.running import host

if TYPE_CHECKING:
    from collections.abc import Iterator

INTEL, AMD = 0x8086, 0x1022

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def process_on(vendor: int, *, bf16: bool) -> Iterator[ProcessPoolExecutor]:
    """Start one fresh process on a CPU of a vendor, with bfloat16 or without.

    ONNX Runtime keeps a plugin, and the devices it offered, as long as its process lives.
    """
    context = get_context("spawn")
    with ProcessPoolExecutor(1, context, _pretend, (vendor, bf16)) as pool:
        yield pool


def _pretend(vendor: int, bf16: bool) -> None:
    """Set the CPU's features, and its vendor in ONNX Runtime's record of the device.

    The vendor is the second field of that record, and no function sets it. pybind11 keeps the
    record's address behind the two words of a Python object.
    """
    import onnxruntime as ort

    features = cpus.cpu_features() - set(host.BF16) | ({"avx512_bf16"} if bf16 else set())
    cpus.cpu_features = lambda *_: features
    device = ort.get_ep_devices()[0].device
    record = ctypes.c_void_p.from_address(id(device) + object.__basicsize__).value
    assert record is not None
    field = ctypes.c_uint32.from_address(record + ctypes.sizeof(ctypes.c_uint32))
    assert field.value == device.vendor_id, "onnxruntime lays its devices out otherwise now"
    field.value = vendor
    assert ort.get_ep_devices()[0].device.vendor_id == vendor
