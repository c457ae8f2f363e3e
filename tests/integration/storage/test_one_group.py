"""Pods of several users in one group, as `fsGroup` makes them, share a store.

The processes run as other users, which takes root.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storage_init.format.verify import verify
from storage_init.store.layout import STAGING, Store
from tests.support.machine.pods import Pods
from tests.support.models.packages import writable_copy
from tests.support.servers.hub import Hub, Request, hub
from tests.unit.storage_init.collecting import DAY, age
from tests.unit.storage_init.fakes import publish_fake

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may start processes of other users"),
]

ROOT = Path(__file__).parents[3]
FIRST, SECOND, GROUP = 20001, 20002, 20000
PUBLISH = """
import sys
from pathlib import Path
from storage_init.base.files import share_with_group
from storage_init.store.layout import Store
from tests.unit.storage_init.fakes import publish_fake, with_weights
share_with_group(Path(sys.argv[1]))
publish_fake(Store(Path(sys.argv[1])), with_weights(sys.argv[2].encode()), key=sys.argv[2] * 64)
"""


class UserPods(Pods):
    """Pods whose number is their user, with a primary group of their own."""

    def start(self, number: int, uri: str = "", *more: str) -> subprocess.Popen[str]:
        command = ("-m", "storage_init", uri, str(self.destination(number)), *more)
        return start(number, *command, env=self.environment)


def start(user: int, *command: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start Python as a user who may read what is root's, as the interpreter may be, not write.

    As in a pod, it sees no other processes.
    """
    capabilities = "-all,+dac_read_search"
    return subprocess.Popen(
        [
            *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *("setpriv", f"--reuid={user}", f"--regid={user}", f"--groups={GROUP}"),
            *(f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}"),
            *(sys.executable, *command),
        ],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(user: int, *command: str) -> str:
    process = start(user, *command)
    said, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    return said


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Hub]:
    package = writable_copy(publish_fake(Store(tmp_path / "made")), tmp_path / "package")
    with hub({"acme/bert": package}) as running:
        yield running


@pytest.fixture
def pods(tmp_path: Path, server: Hub) -> UserPods:
    """The volume as the kubelet hands it over, and a destination for each user."""
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)
    found = UserPods(tmp_path, server)
    found.store.mkdir()
    os.chown(found.store, 0, GROUP)
    found.store.chmod(0o2775)
    for user in (FIRST, SECOND):
        found.destination(user).mkdir()
        os.chown(found.destination(user), user, user)
    (tmp_path / "home").mkdir(mode=0o777, exist_ok=True)
    (tmp_path / "home").chmod(0o777)
    return found


def test_what_one_user_fetched_another_finds_and_keeps_from_gc(pods: UserPods) -> None:
    assert pods.run(FIRST, "hf://acme/bert").returncode == 0
    (version,) = pods.versions()
    age(version, 9 * DAY)
    done = pods.run(SECOND, "hf://acme/bert")
    assert done.returncode == 0, done.stderr
    assert "store hit" in done.stderr
    assert "cannot be noted" not in done.stderr
    assert time.time() - version.stat().st_mtime < DAY
    verify(pods.destination(SECOND))


def test_two_users_publish_one_model_and_either_collects(pods: UserPods) -> None:
    store = Store(pods.store)
    for user, mark in ((FIRST, "a"), (SECOND, "b"), (FIRST, "c")):
        run(user, "-c", PUBLISH, str(pods.store), mark)
    (store.root / STAGING / "left").mkdir(mode=0o775)
    newest = store.resolve("m")
    for version in pods.versions():
        if version != newest:
            age(version, 9 * DAY)
    command = ("-m", "storage_init.store", "gc", str(pods.store), "--keep=1", "--min-age=1s")
    assert "failed" not in run(SECOND, *command)
    assert pods.versions() == [newest]
    verify(newest)


def test_a_user_takes_over_from_another_that_was_killed(pods: UserPods, server: Hub) -> None:
    first: list[subprocess.Popen[str]] = []

    def before_answer(request: Request) -> int | None:
        if request.method == "GET" and request.file == "tokenizer.json" and first:
            first.pop().kill()
        return None

    server.before_answer = before_answer
    process = pods.start(FIRST, "hf://acme/bert")
    first.append(process)
    process.communicate(timeout=60)
    assert process.returncode == -9
    done = pods.run(SECOND, "hf://acme/bert")
    assert done.returncode == 0, done.stderr
    (version,) = pods.versions()
    verify(version)
    assert list((pods.store / ".leases").iterdir()) == []


def test_a_user_outside_of_the_group_is_served_and_told_that_gc_does_not_see_it(
    pods: UserPods,
) -> None:
    pods.store.chmod(0o755)
    os.chown(pods.store, FIRST, FIRST)
    assert pods.run(FIRST, "hf://acme/bert").returncode == 0
    done = pods.run(SECOND, "hf://acme/bert")
    assert done.returncode == 0, done.stderr
    assert "its use cannot be noted" in done.stderr
    verify(pods.destination(SECOND))
