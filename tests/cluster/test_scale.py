"""Ten pods at once on one store, and a store of a hundred services: measured, hardly asserted."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.harness.http import ServerFailedError
from tests.support.clients.v2 import text_request
from tests.support.cluster.cluster import wait_for
from tests.support.cluster.service import TEXT, Service, deploy, one_pod
from tests.support.cluster.store import STORE
from tests.support.manifests.render import SERVICE, Setup

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.cluster.space import Space
    from tests.support.cluster.store import ModelStore

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

PODS, SERVICES = 10, 100
SECONDS = 300
# Of the predictor, the first process of its container: bytes that it had read from a disk, and the
# kilobytes of its memory, each shared page divided among those who map it.
USAGE = """
import json, re
from pathlib import Path
read = re.search(r"^read_bytes: (\\d+)", Path("/proc/1/io").read_text(), re.M)
pss, rss = (
    re.search(rf"^{field}: +(\\d+)", Path("/proc/1/smaps_rollup").read_text(), re.M)[1]
    for field in ("Pss", "Rss")
)
print(json.dumps({"read": int(read[1]), "pss": int(pss) * 1024, "rss": int(rss) * 1024}))
"""
# Pages of a file that nobody maps leave the node's cache.
FORGET = """
import os, sys
from pathlib import Path
os.sync()
for path in Path(sys.argv[1]).rglob("*"):
    if path.is_file() and not path.is_symlink():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
"""
# Two versions of a package under each of many names; gc may take the older at once.
FILL = """
import msgspec, shutil, sys
from pathlib import Path
from storage_init.format.package import DIGEST_FILE, PACKAGE_FILE
from storage_init.format.reading import read_package
from storage_init.store.layout import Store
from storage_init.store.publish import publish

store, folder = Store(Path(sys.argv[1])), Path(sys.argv[2])
package, _ = read_package(folder)
for number in range(int(sys.argv[3])):
    for key in "ab":
        named = msgspec.structs.replace(package, name=f"model-{number}", key=key * 64)
        with store.staging() as staged:
            shutil.copytree(folder, staged, dirs_exist_ok=True)
            for name in (PACKAGE_FILE, DIGEST_FILE):
                (staged / name).unlink()
            publish(store, staged, lambda files: named)
"""


@pytest.fixture
def sized(namespace: Space, package: Path) -> Path:
    """The package to measure with."""
    given = namespace.cluster.options.measured_package
    return Path(given) if given else package


def usage(service: Service) -> list[dict[str, int]]:
    found = []
    for pod in service.pods:
        where = ("-n", service.space.name, pod.metadata.name, "-c", "kserve-container")
        shown = service.space.cluster.kubectl("exec", *where, "--", "python", "-c", USAGE)
        found.append(json.loads(shown))
    return found


def test_ten_pods_start_at_once_and_share_what_they_read(
    namespace: Space, store: ModelStore, sized: Path, measured: Callable[..., None]
) -> None:
    version = store.publish(sized)
    store.run("python", "-c", FORGET, STORE)
    service = deploy(namespace, Setup("overlays/pvc"), one_pod)
    service.wait_until_ready()
    (first,) = usage(service)
    measured("the first pod read", first["read"] / 1e6, "MB")
    measured("its memory, PSS", first["pss"] / 1e6, "MB")
    begun = time.monotonic()
    service.patch({"op": "replace", "path": "/spec/predictor/minReplicas", "value": PODS})
    answered: set[str] = set()

    def all_answer() -> bool:
        waiting = (pod.metadata.name for pod in service.pods)
        answered.update(name for name in waiting if name not in answered and infers(service, name))
        return len(answered) == PODS

    wait_for(all_answer, SECONDS, f"{PODS} pods answer", lambda: answered)
    measured(f"from 1 to {PODS} pods that answer", time.monotonic() - begun)
    assert set(service.versions()) == {version}
    used = usage(service)
    assert len(used) == PODS
    measured("all pods read", sum(each["read"] for each in used) / 1e6, "MB")
    measured("memory of all, PSS", sum(each["pss"] for each in used) / 1e6, "MB")
    measured("memory of all, RSS", sum(each["rss"] for each in used) / 1e6, "MB")
    assert sum(each["pss"] for each in used) < sum(each["rss"] for each in used)


def infers(service: Service, pod: str) -> bool:
    proxy = service.space.cluster.ask("pods", service.space.name, f"{pod}:8080")
    try:
        proxy("POST", f"/v2/models/{SERVICE}/infer", text_request([TEXT]))
    except ServerFailedError:
        return False
    return True


def test_a_store_of_a_hundred_services_is_listed_and_collected(
    store: ModelStore, package: Path, measured: Callable[..., None]
) -> None:
    store.copy(package, folder := "/tmp/package")  # noqa: S108
    filled = store.run("python", "-c", FILL, STORE, folder, str(SERVICES))
    assert filled.returncode == 0, filled.stderr.decode()

    def timed(*command: str) -> Any:
        begun = time.monotonic()
        done = store.run("python", "-m", "storage_init.store", *command, "--json", STORE)
        assert done.returncode == 0, done.stderr.decode()
        measured(" ".join(command), time.monotonic() - begun)
        return json.loads(done.stdout)

    listed = timed("list")
    assert len(listed["versions"]) == 2 * SERVICES
    timed("gc", "--keep=1", "--min-age=0s")
    assert len(timed("list")["versions"]) == SERVICES
