"""A bare process on this machine: no image, no container, no pod."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.http import Http
from benchmarks.harness.launch import PREDICTOR, Server, launch
from benchmarks.harness.requests import MODEL
from benchmarks.pods.target import Started


@dataclass(frozen=True)
class Process:
    """``python -m predictor`` on a folder, with its log in ``logs``."""

    model_dir: Path
    logs: Path
    name: str = "process"

    @property
    def about(self) -> str:
        return f"python -m predictor on {self.model_dir.name}, from before its process to ready"

    @contextmanager
    def started(self) -> Iterator[Started]:
        """As ``Target`` says; it is stopped when the block ends."""
        server = Server(self.name, PREDICTOR, (f"--model_dir={self.model_dir}",))
        with launch(server, self.logs) as running, closing(Http(running.http_port)) as http:
            yield Started(MODEL, http, {"ready": running.ready_seconds})
