"""The documentation's commands, run as they stand there.

A page has a folder of its own with this repository's packages and manifests, a store at
``/mnt/store`` that holds ``sentiment``, and a hub with the model that the pages name. What is
changed in a command is where ``/mnt`` is and which ports are free.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from benchmarks.harness.process import free_port, stop
from tests.support.machine.documents import PAGES, ROOT, Block, blocks
from tests.support.servers.hub import hub

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

# What the pages name.
MODEL = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
REPOSITORIES = (MODEL, "owner/name")
NAME = "sentiment"
PACKAGES = ("pipeline", "predictor", "storage_init", "benchmarks")
BASH = (shutil.which("bash") or "bash", "-euo", "pipefail", "-c")
SECONDS = 120
WITH_COMMANDS = [page for page in PAGES if any(b.mark.startswith("run") for b in blocks(page))]


@dataclass(frozen=True)
class Place:
    """Where a page's commands run."""

    folder: Path
    environment: dict[str, str]

    def fitted(self, text: str) -> str:
        """A page's text with this machine's folder for ``/mnt`` and the ports that are free."""
        for port in ("HTTP", "GRPC"):
            own = {"HTTP": "8080", "GRPC": "8081"}[port]
            free = self.environment[f"WARMSTART_{port}_PORT"]
            text = text.replace(f"localhost:{own}", f"localhost:{free}")
        return re.sub(r"(?<![\w/.])/mnt/", f"{self.folder}/mnt/", text)

    def run(self, command: str, block: Block) -> str:
        """The output of a command; the test fails where the command does."""
        done = subprocess.run(
            [*BASH, self.fitted(command)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"{block.where} ends with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def start(self, block: Block, log: Path) -> subprocess.Popen[bytes]:
        """Start a server and wait until it is ready."""
        with log.open("wb") as output:
            command = [*BASH, f"exec {self.fitted(block.text).strip()}"]
            child = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=output, stderr=output
            )
        url = f"http://localhost:{self.environment['WARMSTART_HTTP_PORT']}/v2/health/ready"
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and child.poll() is None:
            try:
                if httpx.get(url).status_code == httpx.codes.OK:
                    return child
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        stop(child)
        pytest.fail(f"{block.where} was not ready:\n{log.read_text()}")


@pytest.fixture(scope="module")
def hub_and_store(
    classifier: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, str], Path]]:
    """The environment that leads to the hub, and a store that a page's is copied from."""
    root = tmp_path_factory.mktemp("docs")
    with hub(dict.fromkeys(REPOSITORIES, classifier)) as server:
        environment = server.environment(root / "home")
        command = [sys.executable, "-m", "pipeline", "run", f"--source=hf://{MODEL}"]
        subprocess.run(
            [*command, f"--name={NAME}", f"--store={root / 'store'}"],
            env=environment,
            cwd=ROOT,
            check=True,
            capture_output=True,
            timeout=SECONDS,
        )
        yield environment, root / "store"


@pytest.fixture
def place(hub_and_store: tuple[dict[str, str], Path], tmp_path: Path) -> Place:
    inherited, store = hub_and_store
    for name in (*PACKAGES, "tests", "constraints.txt", "Dockerfile", "Makefile"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    shutil.copytree(store, tmp_path / "mnt" / "store", symlinks=True)
    (tmp_path / "mnt" / "models").mkdir()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ports = {f"WARMSTART_{each}_PORT": str(free_port()) for each in ("HTTP", "GRPC")}
    return Place(tmp_path, inherited | {"PATH": path} | ports)


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_do_what_it_says(page: Path, place: Place) -> None:
    with ExitStack() as servers:
        for number, block in enumerate(blocks(page)):
            if block.mark == "run: server":
                child = place.start(block, place.folder / f"server{number}.log")
                servers.callback(stop, child)
            elif block.mark == "run" and block.language == "console":
                for command, output in session(block.text):
                    got = place.run(command, block)
                    assert fits(got, place.fitted(output)), f"{block.where} prints:\n{got}"
            elif block.mark == "run":
                place.run(block.text, block)


def session(text: str) -> Iterator[tuple[str, str]]:
    """Commands, after ``$ ``, each with the output that is shown below it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command = re.match(r"(?:.*\\\n)*.*\n", part)
        assert command is not None, part
        yield command[0], part[command.end() :]


def fits(got: str, shown: str) -> bool:
    """Whether an output is what is shown, where ``…`` stands for anything; none shown, any fits."""
    pattern = ".*".join(re.escape(part) for part in shown.strip().split("…"))
    return not shown.strip() or re.fullmatch(pattern, got.strip(), re.DOTALL) is not None


def test_a_session_is_commands_with_their_output() -> None:
    text = "$ one \\\n    more\nits output\n$ two\n"
    assert list(session(text)) == [("one \\\n    more\n", "its output\n"), ("two\n", "")]


@pytest.mark.parametrize(
    ("got", "shown", "expected"),
    [
        ('{"score":[0.9,0.1]}\n', '{"score":[…]}', True),
        ("anything", "", True),
        ("a\nb\n", "a\n…", True),
        ("a\nb\n", "a\n", False),
        ("a.c", "abc", False),
    ],
)
def test_an_output_fits_what_is_shown(got: str, shown: str, expected: bool) -> None:
    assert fits(got, shown) is expected
