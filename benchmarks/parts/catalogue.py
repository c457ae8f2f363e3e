"""The servers that are compared, how each is started, and which variants this host runs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.harness.http import ServerFailedError
from benchmarks.harness.launch import PREDICTOR, Server, launch
from benchmarks.models import Prepared, fused_graph, plain_graph
from storage_init.format.package import Variant

EMPTY, PYTORCH, ONNX, FUSED, MOSEC = "empty KServe", "PyTorch", "ONNX", "ONNX fused", "mosec"
AUTO = "auto"
BASELINES = "benchmarks.servers.baselines"
SIZES = "--verify=size"
NO_MOSEC = "mosec is not installed (extra: bench), so there is no peer to compare with"
NO_INT8 = "no int8 variant runs here; this is {}"


def ours_name(variant: str) -> str:
    """The name of our server in reports."""
    return f"warmstart {variant}"


def ours(prepared: Prepared, variant: str, *flags: str, name: str | None = None) -> Server:
    """Our predictor with a variant, or with its own choice: ``auto``."""
    flags = (f"--model_dir={prepared.folder}", f"--variant={variant}", *flags)
    return Server(name or ours_name(variant), PREDICTOR, flags)


def empty() -> Server:
    """KServe's own server around a model that does nothing."""
    return Server(EMPTY, BASELINES, answers=False)


def baselines(prepared: Prepared, work: Path) -> list[Server]:
    """The servers that people run in KServe instead."""
    task, tokenizer = f"--task={prepared.task}", f"--tokenizer={prepared.tokenizer}"
    graphs = {ONNX: plain_graph(prepared, work), FUSED: fused_graph(prepared, work)}
    return [
        Server(PYTORCH, BASELINES, (f"--model_dir={prepared.source}", task)),
        *(
            Server(name, BASELINES, (f"--graph={graph}", tokenizer, task))
            for name, graph in graphs.items()
        ),
    ]


def peers(prepared: Prepared, variant: Variant, workers: int) -> list[Server]:
    """Servers without KServe over one of our graphs, as far as they are installed."""
    if find_spec("mosec") is None:
        return []
    flags = (
        *(f"--graph={prepared.folder / variant.graph}", f"--tokenizer={prepared.tokenizer}"),
        *(f"--task={prepared.task}", f"--workers={workers}"),
    )
    return [Server(MOSEC, "benchmarks.servers.peer_mosec", flags, ready_path="/")]


class Names(msgspec.Struct, frozen=True):
    """The model and variants of a result; ``int8`` is the 8-bit variant that runs here, if any."""

    model: str
    int8: str | None
    automatic: str

    def judged(self) -> tuple[str, str | None]:
        """The variant to judge int8's targets by, and a caveat if it is another one."""
        return (self.int8, None) if self.int8 else (self.automatic, NO_INT8.format(self.automatic))


@dataclass(frozen=True)
class Subject:
    """A model, its variants that this host serves, why it refuses others, and auto's choice."""

    prepared: Prepared
    variants: tuple[Variant, ...]
    refused: dict[str, str]
    automatic: Variant

    @property
    def int8(self) -> Variant | None:
        """The 8-bit variant, if there is one."""
        return next((each for each in self.variants if each.name == "int8"), None)

    def names(self) -> dict[str, Any]:
        """The fields of :class:`Names`."""
        int8 = self.int8.name if self.int8 else None
        return {"model": self.prepared.name, "int8": int8, "automatic": self.automatic.name}

    def notes(self) -> list[str]:
        """Explain what is not measured here."""
        found = [f"{name} is not served here: {why}" for name, why in self.refused.items()]
        return found if find_spec("mosec") else [*found, NO_MOSEC]


def find_subject(prepared: Prepared, logs: Path) -> Subject:
    """Try each variant, and ask the predictor which one it chooses by itself.

    Raises:
        ServerFailedError: not even ``auto`` became ready.
    """
    known = prepared.package.variants
    tried = {v.name: refusal(ours(prepared, v.name, SIZES), logs) for v in known}
    variants = tuple(v for v in known if tried[v.name] is None)
    refused = {name: why for name, why in tried.items() if why is not None}
    with launch(ours(prepared, AUTO, SIZES), logs) as running:
        served = running.model()["variant"]
    automatic = next(variant for variant in variants if variant.name == served)
    return Subject(prepared, variants, refused, automatic)


def refusal(server: Server, logs: Path) -> str | None:
    """The last words of a server that does not become ready; None if it does."""
    try:
        with launch(server, logs):
            return None
    except ServerFailedError as error:
        return str(error).splitlines()[-1]
