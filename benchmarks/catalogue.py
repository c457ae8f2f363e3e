"""Which servers are compared, and how each is started."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from benchmarks.harness.launch import Server, ServerFailedError, launch
from benchmarks.prepared import Prepared, fused_graph, plain_graph

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.format.package import Variant

EMPTY, PYTORCH, ONNX, FUSED, MOSEC = "empty KServe", "PyTorch", "ONNX", "ONNX fused", "mosec"
AUTO = "auto"
SIZES = "--verify=size"
NO_MOSEC = "mosec is not installed (extra: bench), so there is no peer to compare with"


def ours_name(variant: str) -> str:
    """How a report calls our server."""
    return f"warmstart {variant}"


def ours(prepared: Prepared, variant: str, *flags: str, name: str | None = None) -> Server:
    """Our predictor; ``auto`` and everything without a flag is its own choice."""
    return Server(
        name or ours_name(variant),
        "predictor",
        (f"--model_dir={prepared.folder}", f"--variant={variant}", *flags),
    )


def empty() -> Server:
    """The empty stock server."""
    return Server(EMPTY, "benchmarks.servers.empty", answers=False)


def baselines(prepared: Prepared, work: Path) -> list[Server]:
    """What people run instead, in KServe."""
    onnx = (f"--tokenizer={prepared.tokenizer}", f"--task={prepared.task}")
    module = "benchmarks.servers.onnx"
    return [
        Server(
            PYTORCH,
            "benchmarks.servers.pytorch",
            (f"--model_dir={prepared.source}", f"--task={prepared.task}"),
        ),
        Server(ONNX, module, (f"--graph={plain_graph(prepared, work)}", *onnx)),
        Server(FUSED, module, (f"--graph={fused_graph(prepared, work)}", *onnx)),
    ]


def peers(prepared: Prepared, variant: Variant, workers: int) -> list[Server]:
    """Servers without KServe over one of our graphs; none where they are not installed."""
    if find_spec("mosec") is None:
        return []
    flags = (
        f"--graph={prepared.folder / variant.graph}",
        f"--tokenizer={prepared.tokenizer}",
        f"--task={prepared.task}",
        f"--workers={workers}",
    )
    module = "benchmarks.servers.peer_mosec"
    return [Server(MOSEC, module, flags, ready_path="/", speaks_grpc=False)]


@dataclass(frozen=True)
class Usable:
    """The variants that this host serves, why others are not, and which one ``auto`` takes."""

    variants: tuple[Variant, ...]
    refused: dict[str, str]
    automatic: Variant

    @property
    def int8(self) -> Variant | None:
        """The fastest 8-bit variant there is."""
        small = [variant for variant in self.variants if variant.name.startswith("int8")]
        return min(small, key=lambda variant: variant.speed.batched_ms, default=None)


def usable(prepared: Prepared, logs: Path) -> Usable:
    """Try each variant, and ask the predictor which one it takes by itself.

    Raises:
        ServerFailedError: not even ``auto`` became ready.
    """
    tried = {
        v.name: refusal(ours(prepared, v.name, SIZES), logs) for v in prepared.package.variants
    }
    variants = tuple(v for v in prepared.package.variants if tried[v.name] is None)
    refused = {name: why for name, why in tried.items() if why is not None}
    with launch(ours(prepared, AUTO, SIZES), logs) as running:
        served = running.served_variant()
    automatic = next(variant for variant in variants if variant.name == served)
    return Usable(variants, refused, automatic)


def refusal(server: Server, logs: Path) -> str | None:
    """Why a server does not become ready: its last words; None if it does."""
    try:
        with launch(server, logs):
            return None
    except ServerFailedError as error:
        return str(error).splitlines()[-1]
