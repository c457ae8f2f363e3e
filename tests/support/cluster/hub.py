"""A Hugging Face Hub that the cluster's pods reach: the tests' own, in a pod beside the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_init.base.files import list_files
from storage_init.base.hashing import sha256_files
from tests.support.cluster.store import STORE, store_pod, wait_until_running
from tests.support.manifests.render import ROOT
from tests.support.servers.hub import COMMIT_LENGTH

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cluster.store import ModelStore

HUB = "hub"
PORT = 8000
FOLDER = f"{STORE}/.hub"
SERVERS = "tests/support/servers"
# The folders below the first argument are repositories; what lies there now is their main branch.
RUN = """
import sys, threading
from pathlib import Path
from tests.support.servers.hub import Hub
from tests.support.servers.serving import serve

root, token, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

class Folders(Hub):
    def respond(self, call):
        for folder in root.glob("*/*"):
            repo = "/".join(folder.relative_to(root).parts)
            self.push(repo, folder)
            self.tokens[repo] = token
        return super().respond(call)

with serve(Folders, at=("", port)):
    threading.Event().wait()
"""


@dataclass(frozen=True)
class ClusterHub:
    """A hub whose files need ``token``, unless that is empty."""

    store: ModelStore
    token: str = ""

    @property
    def url(self) -> str:
        """Its address in the cluster."""
        return f"http://{HUB}.{self.store.space.name}.svc.cluster.local:{PORT}"

    def start(self) -> None:
        """Start its pod, and a Service that leads there."""
        space = self.store.space
        self.store.copy(ROOT / SERVERS, f"{FOLDER}/{SERVERS}")
        command = ["python", "-c", RUN, f"{FOLDER}/repositories", self.token, str(PORT)]
        pod = store_pod(space.cluster, HUB, command)
        search = {"name": "PYTHONPATH", "value": f"/app:{FOLDER}"}
        pod["spec"]["containers"][0]["env"] = [search]
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": HUB},
            "spec": {"selector": {"app": HUB}, "ports": [{"port": PORT}]},
        }
        space.apply(pod, service)
        wait_until_running(space, HUB)

    def push(self, repo: str, model: Path) -> None:
        """Make a folder the main branch of a repository, in one step."""
        there, new = f"{FOLDER}/repositories/{repo}", f"{FOLDER}/new"
        self.store.copy(model, new)
        command = f"mkdir -p $(dirname {there}) && rm -rf {there} && mv {new} {there}"
        done = self.store.run("sh", "-c", command)
        assert done.returncode == 0, done.stderr.decode()


def commit_of(model: Path) -> str:
    """The commit that the hub gives to a folder."""
    return sha256_files(model, list_files(model))[:COMMIT_LENGTH]
