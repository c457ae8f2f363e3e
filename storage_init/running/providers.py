"""ONNX Runtime's execution providers: whether one is available, and its options for a session.

OpenVINO is a plugin, a library that ONNX Runtime loads when the provider is first used. Only then
does this module import onnxruntime.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

import msgspec

from storage_init.base.errors import ProviderError

if TYPE_CHECKING:
    import onnxruntime as ort

    from storage_init.format.package import Precision

CPU = "CPUExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"
CUDA = "CUDAExecutionProvider"
PROVIDERS = (CPU, OPENVINO, CUDA)

_PLUGIN = "onnxruntime_ep_openvino"
_INSTALL = {CUDA: "; it comes with onnxruntime-gpu, installed in the place of onnxruntime"}
# ONNX Runtime registers a library once per process, and models may load concurrently.
_registering = Lock()


def unavailable(provider: str) -> str | None:
    """Return why a provider is not available here, or None if it is."""
    try:
        _openvino_device() if provider == OPENVINO else _check_built_in(provider)
    except ProviderError as error:
        return str(error)
    return None


def not_installed(provider: str) -> str | None:
    """Return why a plugin is not installed, or None if it is, without importing ONNX Runtime."""
    from importlib.util import find_spec

    missing = provider == OPENVINO and find_spec(_PLUGIN) is None
    return f"{provider} is not installed: pip install 'warmstart[openvino]'" if missing else None


def configure(
    options: ort.SessionOptions,
    provider: str,
    *,
    precision: Precision | None,
    lanes: int,
    threads: int,
) -> list[tuple[str, dict[str, str]]] | None:
    """Set up a session's options for a provider; return the session's ``providers`` argument.

    Args:
        options: the session's options; a plugin's device is added to them.
        provider: ONNX Runtime's name for it.
        precision: what OpenVINO computes in; None for the graph's own.
        lanes: number of concurrent calls of ``run``.
        threads: number of threads for one inference.

    Raises:
        ProviderError: the provider is not available here.
    """
    if provider == OPENVINO:
        load_config = {
            "INFERENCE_PRECISION_HINT": precision or "f32",
            # Each stream answers one call at a time, with its share of the threads.
            "NUM_STREAMS": str(lanes),
            "INFERENCE_NUM_THREADS": str(lanes * threads),
            # With pinning, every process would pin its threads to the same first cores.
            "ENABLE_CPU_PINNING": "NO",
        }
        options.add_provider_for_devices(
            [_openvino_device()],
            {"load_config": msgspec.json.encode({"CPU": load_config}).decode()},
        )
        return None
    _check_built_in(provider)
    if provider != CUDA:
        return [(provider, {})]
    _preload_cuda()
    # TF32 rounds to 10 bits, but the self-test's reference was computed in full FP32.
    return [(provider, {"use_tf32": "0"})]


def _preload_cuda() -> None:
    """Load CUDA and cuDNN from their Python packages, which are not on the loader's path.

    The function prints a line for each missing library; hide them, as the session's error says it.
    """
    import onnxruntime as ort

    with redirect_stdout(io.StringIO()):
        ort.preload_dlls()


def _check_built_in(provider: str) -> None:
    import onnxruntime as ort

    have = ort.get_available_providers()
    if provider not in have:
        raise ProviderError(
            f"ONNX Runtime here has no {provider}, only {', '.join(have)}"
            f"{_INSTALL.get(provider, '')}"
        )


def _openvino_device() -> ort.OrtEpDevice:
    """Return the CPU device, if the plugin offers it.

    The plugin skips every device that is not Intel's (onnxruntime, ov_factory.cc; pull request
    31981 is meant to change that).
    """
    import onnxruntime as ort

    if why := not_installed(OPENVINO):
        raise ProviderError(why)
    with _registering:
        _register_openvino()
    for device in ort.get_ep_devices():
        if device.ep_name == OPENVINO and device.device.type == ort.OrtHardwareDeviceType.CPU:
            return device
    raise ProviderError(f"{OPENVINO} is installed but offers no CPU device here: it wants Intel's")


@cache
def _register_openvino() -> None:
    import onnxruntime as ort
    from onnxruntime_ep_openvino import get_library_path

    try:
        ort.register_execution_provider_library(OPENVINO, get_library_path())
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise ProviderError(f"{OPENVINO} cannot be loaded into ONNX Runtime: {error}") from error
