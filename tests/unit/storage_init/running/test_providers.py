"""Available execution providers, and the errors for those that are not.

tests/integration/serving runs OpenVINO itself, because ONNX Runtime cannot unload a plugin.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING
from unittest.mock import Mock

import onnx
import onnxruntime as ort
import pytest

from storage_init.base.errors import ProviderError
from storage_init.running import providers
from storage_init.running.providers import CPU, CUDA, OPENVINO
from storage_init.running.session import open_session

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> m (float[N] x) => (float[N] y) { y = Relu (x) }'
    )
    onnx.save(model, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.fixture
def without_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    # None tells the import system that there is no such module.
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_openvino", None)
    monkeypatch.setattr(providers, "_PLUGIN", "onnxruntime_ep_nowhere")


def test_the_error_for_a_missing_provider_says_what_to_install(graph: Path) -> None:
    assert providers.unavailable(CPU) is None
    why = providers.unavailable(CUDA)
    assert why is not None
    assert why.startswith(f"ONNX Runtime here has no {CUDA}, only ")
    assert CPU in why
    assert "onnxruntime-gpu" in why
    with pytest.raises(ProviderError) as refused:
        open_session(graph, provider=CUDA)
    assert str(refused.value) == why


def test_the_cpu_does_not_replace_a_provider_that_does_not_start(
    graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if onnxruntime-gpu were installed and CUDA were not.
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
    with (
        pytest.warns(UserWarning, match=CUDA),
        pytest.raises(ProviderError, match=f"{CUDA} did not start"),
    ):
        open_session(graph, provider=CUDA)


@pytest.mark.usefixtures("without_plugin")
def test_the_error_for_a_missing_plugin_says_what_to_install(graph: Path) -> None:
    why = f"{OPENVINO} is not installed: pip install 'warmstart[openvino]'"
    assert providers.not_installed(OPENVINO) == providers.unavailable(OPENVINO) == why
    assert providers.not_installed(CPU) is None
    with pytest.raises(ProviderError, match="not installed"):
        open_session(graph, provider=OPENVINO, precision="bf16")


def test_cuda_computes_in_full_precision_with_the_libraries_of_its_packages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
    preload = Mock(side_effect=lambda: sys.stdout.write("libcudart is not here"))
    monkeypatch.setattr(ort, "preload_dlls", preload)
    options = ort.SessionOptions()
    chosen = providers.configure(options, CUDA, precision=None, lanes=1, threads=1)
    assert chosen == [(CUDA, {"use_tf32": "0"})]
    assert (preload.call_count, capsys.readouterr().out) == (1, "")


def test_importing_providers_imports_no_runtime_and_no_plugin() -> None:
    code = (
        "import sys; from storage_init.running import providers; "
        "providers.not_installed('OpenVINOExecutionProvider'); "
        "print({'onnxruntime', 'onnxruntime_ep_openvino'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
