"""The server that the clients ask, and the environment that they run in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.harness.process import Predictor, predictor
from tests.clients.table import ROWS
from tests.support.clients.waiting import wait_until_ready
from tests.support.models.models import PROMPTS, make_embedder, source
from tests.support.models.prepare import prepared
from tests.support.models.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
# `make test-clients` makes it.
PYTHON = ROOT / ".clients" / "venv" / "bin" / "python"
# Libraries that would ask their makers' servers for something.
OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "HF_HUB_DISABLE_TELEMETRY": "1"}


@pytest.fixture(scope="session")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Predictor]:
    """A server with a model of every task, and an embedder with prompts."""
    folder = tmp_path_factory.mktemp("models")
    for task in TASKS:
        (folder / task).symlink_to(request.getfixturevalue(f"prepared_{task}"))
    (folder / "prompted").symlink_to(prepared(source(make_embedder, prompts=PROMPTS), "embedder"))
    log = tmp_path_factory.mktemp("log") / "predictor.log"
    flags = (f"--models_dir={folder}", "--variant=fp32")
    with predictor(folder, log, *flags, name="classifier") as running:
        wait_until_ready(running)
        yield running


@pytest.fixture(scope="session")
def ask(server: Predictor, embedder: Path) -> Callable[[str], Any]:
    """Asks with a row's client, in a process of its own."""

    def asked(name: str) -> Any:
        python = sys.executable if ROWS[name].with_server else PYTHON
        command = [python, "-m", "tests.clients", name, server.url, server.grpc_target, embedder]
        environment = {**os.environ, **OFFLINE}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert not done.returncode, done.stdout + done.stderr
        return json.loads(done.stdout.strip().splitlines()[-1])

    return asked
