"""OpenVINO's plugin on any x86, in a process of its own."""

from __future__ import annotations

import ctypes
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from storage_init.base import cpus

if TYPE_CHECKING:
    from collections.abc import Callable

INTEL = 0x8086

P = ParamSpec("P")
T = TypeVar("T")


def apart(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function of a module's top level returns in a fresh process.

    ONNX Runtime keeps a plugin, and the devices it offered, as long as its process lives.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def is_intel() -> bool:
    """Whether ONNX Runtime sees a CPU that the plugin takes by itself."""
    import onnxruntime as ort

    return bool(ort.get_ep_devices()[0].device.vendor_id == INTEL)


def pretend() -> None:
    """Have this process take its CPU for an Intel with bfloat16, until it ends.

    OpenVINO runs on every x86, in FP32 where there is no bfloat16; the plugin alone asks for the
    vendor, in a number that ONNX Runtime keeps as the second field of its device and that no
    function sets. What pybind11 keeps of the device lies behind the two words of a Python object.
    """
    import onnxruntime as ort

    features = cpus.cpu_features() | {"avx512_bf16"}
    cpus.cpu_features = lambda *_: features
    device = ort.get_ep_devices()[0].device
    record = ctypes.c_void_p.from_address(id(device) + object.__basicsize__).value
    assert record is not None
    vendor = ctypes.c_uint32.from_address(record + ctypes.sizeof(ctypes.c_uint32))
    assert vendor.value == device.vendor_id, "onnxruntime lays its devices out otherwise now"
    vendor.value = INTEL
    assert is_intel()
