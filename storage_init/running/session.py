"""Open an ONNX Runtime session over a variant's graph and run batches through it.

The pipeline measures a variant with the same code that the predictor serves it with. Needs
onnxruntime, which the format itself does not.
"""

from __future__ import annotations

from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from storage_init.base.errors import PackageError, ProviderError
from storage_init.base.files import leads_by_name
from storage_init.running import providers

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from storage_init.format.package import Precision
    from storage_init.running.tokenizer import Feeds, Places

# The two outputs of a graph for question answering, [N, L] each.
SPAN_OUTPUTS = ("start_logits", "end_logits")
# The scores of attention of a longer text take much memory: 28 MB in 12 heads at 768 tokens.
USUAL_LENGTH = 768


def open_session(
    graph: Path,
    *,
    threads: int = 1,
    lanes: int = 1,
    provider: str = providers.CPU,
    precision: Precision | None = None,
    optimized: bool = True,
) -> ort.InferenceSession:
    """Open a session over a graph; ONNX Runtime maps the weights from the file beside it.

    Any number of threads may call the session's ``run`` at once.

    Args:
        graph: the ONNX file.
        threads: number of threads for one inference.
        lanes: number of concurrent calls of ``run``, for providers that must know it.
        provider: ONNX Runtime's execution provider.
        precision: what the provider computes in, if it can choose; None for the graph's own.
        optimized: the graph was optimised when it was prepared; optimising it again would take
            most of the start-up time.

    Raises:
        PackageError: ONNX Runtime cannot load the graph.
        ProviderError: the provider is not available here, or did not start.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = (
        ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        if optimized
        else ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    )
    # Shapes vary from batch to batch, so a memory plan for one does not fit the next.
    options.enable_mem_pattern = False
    # Threads that spin while they wait use up the pod's CPU quota.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    chosen = providers.configure(
        options, provider, precision=precision, lanes=lanes, threads=threads
    )
    source: str | bytes = str(graph)
    try:
        if not leads_by_name(graph):
            source, weights = graph.read_bytes(), _weights_beside(graph)
            names, contents = list(weights), list(weights.values())
            sizes = [len(content) for content in contents]
            options.add_external_initializers_from_files_in_memory(names, contents, sizes)
        session = ort.InferenceSession(source, options, providers=chosen)
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise PackageError(f"ONNX Runtime cannot load {graph}: {error}") from error
    # If a provider's own libraries are missing, ONNX Runtime falls back to the CPU.
    if provider not in session.get_providers():
        raise ProviderError(
            f"{provider} did not start: are its driver, its libraries and a device there?"
        )
    return session


def _weights_beside(graph: Path) -> dict[str, mmap]:
    """Map the files beside a graph that ONNX Runtime cannot open by name.

    ONNX Runtime copies them to its heap; they must stay mapped until the session is open.
    """
    found = {}
    for path in graph.parent.iterdir():
        if path != graph and path.is_file() and path.stat().st_size:
            with path.open("rb") as file:
                found[path.name] = mmap(file.fileno(), 0, access=ACCESS_READ)
    return found


def input_names(session: ort.InferenceSession) -> list[str]:
    """Return the names of the graph's inputs, in the graph's order."""
    return [tensor.name for tensor in session.get_inputs()]


def run_answer(session: ort.InferenceSession, feeds: Feeds) -> NDArray[Any]:
    """Return the graph's first output, or for question answering both, stacked to [N, L, 2].

    A large inference gives its memory back, which the session would keep for ever.
    """
    outputs = [output.name for output in session.get_outputs()]
    options = _giving_back() if is_large(next(iter(feeds.values()))) else None
    if not set(SPAN_OUTPUTS).issubset(outputs):
        only: NDArray[Any] = session.run(outputs[:1], feeds, options)[0]
        return only
    return np.stack(session.run(SPAN_OUTPUTS, feeds, options), axis=-1)


def is_large(tensor: NDArray[Any]) -> bool:
    """Whether an inference with this input, [N, L], takes much memory for attention."""
    return int(tensor.shape[1]) > USUAL_LENGTH


def _giving_back() -> ort.RunOptions:
    options = ort.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def run_rows(session: ort.InferenceSession, feeds: Feeds, places: Places | None) -> NDArray[Any]:
    """Return a batch's output rows: [N, C] for texts, or [R, C] for the tokens at ``places``."""
    output = run_answer(session, feeds)
    if places is None:
        return output
    return np.concatenate([rows[here] for rows, here in zip(output, places, strict=True)])
