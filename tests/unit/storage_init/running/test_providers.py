"""Which execution providers can be had here, and what is said of those that cannot.

OpenVINO's own answers are asked for in tests/integration/serving: ONNX Runtime loads a
plugin into a process for good.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

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
    # What the import system takes for a module that is not to be found.
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_openvino", None)
    monkeypatch.setattr(providers, "_PLUGIN", "onnxruntime_ep_nowhere")


def test_every_onnx_runtime_has_the_cpu() -> None:
    assert providers.unavailable(CPU) is None


def test_a_provider_that_is_not_there_is_named_with_those_that_are_and_what_to_install(
    graph: Path,
) -> None:
    why = providers.unavailable(CUDA)
    assert why is not None
    assert why.startswith(f"ONNX Runtime here has no {CUDA}, only ")
    assert CPU in why
    assert "onnxruntime-gpu" in why
    with pytest.raises(ProviderError) as refused:
        open_session(graph, provider=CUDA)
    assert str(refused.value) == why


def test_a_provider_that_does_not_start_is_not_replaced_by_the_cpu(
    graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where onnxruntime-gpu is installed and CUDA is not.
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
    with (
        pytest.warns(UserWarning, match=CUDA),
        pytest.raises(ProviderError, match=f"{CUDA} did not start"),
    ):
        open_session(graph, provider=CUDA)


@pytest.mark.usefixtures("without_plugin")
def test_a_plugin_that_is_not_installed_is_a_reason_and_no_failure(graph: Path) -> None:
    why = f"{OPENVINO} is not installed: pip install 'warmstart[openvino]'"
    assert providers.not_installed(OPENVINO) == providers.unavailable(OPENVINO) == why
    assert providers.not_installed(CPU) is None
    with pytest.raises(ProviderError, match="not installed"):
        open_session(graph, provider=OPENVINO, precision="bf16")


def test_cuda_computes_in_full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
    options = ort.SessionOptions()
    chosen = providers.configure(options, CUDA, precision=None, lanes=1, threads=1)
    assert chosen == [(CUDA, {"use_tf32": "0"})]


def test_cudas_libraries_are_loaded_from_their_packages_before_a_session_wants_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
    loaded: list[str] = []

    def preload() -> None:
        loaded.append("all")
        print("libcudart is not here")  # noqa: T201 - as ONNX Runtime does

    monkeypatch.setattr(ort, "preload_dlls", preload)
    providers.configure(ort.SessionOptions(), CUDA, precision=None, lanes=1, threads=1)
    assert loaded == ["all"]
    assert capsys.readouterr().out == ""
    providers.configure(ort.SessionOptions(), CPU, precision=None, lanes=1, threads=1)
    assert loaded == ["all"]


def test_importing_it_imports_no_runtime_and_no_plugin() -> None:
    code = (
        "import sys; from storage_init.running import providers; "
        "providers.not_installed('OpenVINOExecutionProvider'); "
        "print({'onnxruntime', 'onnxruntime_ep_openvino'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
