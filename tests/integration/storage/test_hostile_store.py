"""A store that hostile sources, dying processes and bad nodes reach: no pod gets another's model.

Each test is one attack or accident, with real processes of the initializer.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storage_init.format.verify import verify
from storage_init.store.layout import Store
from storage_init.store.pins import pin
from storage_init.store.publish import publish
from tests.support.machine.interrupt import FINISHED, SUCCEEDED, die, run_in_child
from tests.support.machine.pods import Pods
from tests.support.models.packages import flip_byte, writable_copy
from tests.support.servers.hub import Hub, Request, hub
from tests.support.servers.web import web
from tests.unit.storage_init.fakes import (
    KEY,
    NAME,
    fake_package,
    publish_fake,
    with_weights,
    write_files,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
GOOD, EVIL = b"the owner's weights", b"the attacker's weights"
WEIGHTS = "fp32/model.onnx.data"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return repository(tmp_path / "good", GOOD)


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A prepared model that claims the name and the key of the good one."""
    return repository(tmp_path / "evil", EVIL)


@pytest.fixture
def server(good: Path, evil: Path) -> Iterator[Hub]:
    with hub({"acme/bert": good, "evil/x": evil}) as running:
        yield running


@pytest.fixture
def pods(tmp_path: Path, server: Hub) -> Pods:
    return Pods(tmp_path, server)


def repository(folder: Path, weights: bytes) -> Path:
    """Make a prepared model's repository."""
    return writable_copy(publish_fake(Store(folder / "made"), with_weights(weights)), folder / "r")


def fetch(pods: Pods, number: int, uri: str) -> bytes:
    """Run a pod that must succeed; return the weights that it would serve."""
    done = pods.run(number, uri)
    assert done.returncode == 0, done.stderr
    verify(pods.destination(number))
    return (pods.destination(number) / WEIGHTS).read_bytes()


def test_a_fetched_package_claims_neither_a_name_nor_a_key(pods: Pods) -> None:
    assert fetch(pods, 1, "hf://evil/x") == EVIL
    store = Store(pods.store)
    assert store.current(NAME) is None
    assert store.find(NAME, KEY) is None
    assert pods.run(2, f"warm://{NAME}").returncode == 1
    own = publish_fake(store, with_weights(GOOD))
    assert (own / WEIGHTS).read_bytes() == GOOD
    assert fetch(pods, 3, f"warm://{NAME}") == GOOD


def test_another_hub_does_not_fill_the_store_for_this_one(
    pods: Pods, server: Hub, evil: Path, tmp_path: Path
) -> None:
    commit = server.commit("acme/bert")
    with hub({"acme/bert": evil}) as other:
        other._commits["acme/bert", commit] = evil
        stranger = Pods(tmp_path, other)
        assert fetch(stranger, 1, f"hf://acme/bert@{commit}") == EVIL
    assert fetch(pods, 2, f"hf://acme/bert@{commit}") == GOOD


def test_a_pinned_revision_is_not_served_as_another(
    pods: Pods, server: Hub, tmp_path: Path
) -> None:
    first = server.commit("acme/bert")
    assert fetch(pods, 1, f"hf://acme/bert@{first}") == GOOD
    second = server.push("acme/bert", repository(tmp_path / "again", b"prepared again"))
    assert fetch(pods, 2, f"hf://acme/bert@{second}") == b"prepared again"
    assert fetch(pods, 3, f"hf://acme/bert@{first}") == GOOD


def test_a_version_that_is_pinned_outlives_a_second_publication_of_its_key(pods: Pods) -> None:
    store = Store(pods.store)
    pinned = publish_fake(store, with_weights(GOOD))
    with store.staging() as staged:
        write_files(staged, with_weights(b"measured again"))
        publish(store, staged, fake_package, supersede=True)
    pin(store, NAME, pinned.name, "team-a.bert")
    publish_fake(store, with_weights(GOOD))
    verify(pinned)
    assert fetch(pods, 1, "hf://acme/bert") == GOOD
    verify(pinned)


def test_a_miss_does_not_deliver_a_damaged_version_that_lies_in_its_place(pods: Pods) -> None:
    assert fetch(pods, 1, "hf://acme/bert") == GOOD
    (version,) = pods.versions()
    flip_byte(version / WEIGHTS)
    shutil.rmtree(pods.store / "fetched")
    assert fetch(pods, 2, "hf://acme/bert") == GOOD
    verify(version)


def publish_new(root: Path) -> int:
    store = Store(root)
    with store.staging() as staged:
        write_files(staged, with_weights(b"new"))
        publish(store, staged, partial(fake_package, key="b" * 64))
    return SUCCEEDED


def test_a_version_with_a_key_was_current_even_if_its_publisher_died(tmp_path: Path) -> None:
    pristine, root, step, code = tmp_path / "pristine", tmp_path / "store", 0, SUCCEEDED
    publish_fake(Store(pristine))
    while code != FINISHED:
        step += 1
        shutil.copytree(pristine, root, symlinks=True)
        code = run_in_child(root, step, die, partial(publish_new, root))
        assert code in (FINISHED, -signal.SIGKILL)
        found = Store(root).find(NAME, "b" * 64)
        assert found is None or found == Store(root).resolve(NAME), f"killed at step {step}"
        shutil.rmtree(root)


@pytest.mark.parametrize(
    "uri",
    [
        "https://user:hunter2@host.invalid/model.zip",
        "https://user:hunter2@host.invalid/model.zip#sha1=1",
        "https://user:hunter2@host.invalid/",
        "https://host.invalid/?sig=hunter2",
        "https://[user:hunter2@host.invalid]/model.zip",
        "HTTPS://user:hunter2@host.invalid/model.zip",
        "ftp://user:hunter2@host.invalid/model.zip",
        "s3://user:hunter2@bucket/model",
        "hf://user:hunter2@owner/name",
        "file://user:hunter2@host/model",
        "pvc://user:hunter2@claim/model",
        "warm://user:hunter2@host/model",
        "https://127.0.0.1:1/model.zip?sig=hunter2",
    ],
)
def test_credentials_of_a_refused_uri_are_not_printed(uri: str, pods: Pods) -> None:
    pods.environment["WARMSTART_RETRIES"] = "0"
    done = pods.run(1, uri)
    assert done.returncode == 1
    assert "hunter2" not in done.stderr


def test_urls_that_differ_in_their_query_are_different_models(
    pods: Pods, good: Path, evil: Path, tmp_path: Path
) -> None:
    archives = {
        name: Path(shutil.make_archive(str(tmp_path / name), "zip", folder)).read_bytes()
        for name, folder in (("a", good), ("b", evil))
    }
    with web({}) as site:
        site.etag = lambda _: '"1"'
        site.answer = lambda request: site.files.update(
            {"/model.zip": archives[request.query.partition("=")[2][:1]]}
        )
        assert fetch(pods, 1, f"{site.url}/model.zip?model=a") == GOOD
        assert fetch(pods, 2, f"{site.url}/model.zip?model=b") == EVIL
        signed = "&X-Amz-Date=20260101T000000Z&X-Amz-Signature="
        done = pods.run(3, f"{site.url}/model.zip?model=a{signed}1")
        assert "store hit" in done.stderr


def test_both_ways_to_write_a_branch_share_a_version(pods: Pods) -> None:
    assert fetch(pods, 1, "hf://acme/bert@main") == GOOD
    assert "store hit" in pods.run(2, "hf://acme/bert:main").stderr


STAND_IN = """
import hashlib, json, os, sys
from pathlib import Path
from storage_init.store.layout import Store
from tests.unit.storage_init.fakes import publish_fake, with_weights

flags = dict(each[2:].split("=", 1) for each in sys.argv if "=" in each)
revision = sys.argv[sys.argv.index("--fetched") + 1]
Path(__file__).with_name("environment").write_text(json.dumps(dict(os.environ)))
key = hashlib.sha256(revision.encode()).hexdigest()
files = with_weights(revision.encode())
print(publish_fake(Store(Path(flags["store"])), files, name=flags["name"], key=key))
"""


class PreparingPods(Pods):
    """Pods with a stand-in for the pipeline, which publishes the revision as its weights."""

    def start(self, number: int, uri: str = "", *more: str) -> subprocess.Popen[str]:
        pairs = [uri, str(self.destination(number)), *more]
        command = [sys.executable, "-m", "storage_init", *pairs]
        environment = self.environment | {"PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            command,
            cwd=self.root / "image",
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def preparing(tmp_path: Path, server: Hub) -> PreparingPods:
    code = {"pipeline/__init__.py": b"", "pipeline/__main__.py": STAND_IN.encode()}
    write_files(tmp_path / "image", code)
    return PreparingPods(tmp_path, server)


def raw(folder: Path, graph: bytes) -> Path:
    """Make a repository that nobody has prepared."""
    config = {"model_type": "bert", "architectures": ["BertForSequenceClassification"]}
    files = {
        "config.json": json.dumps(config | {"num_labels": 2}).encode(),
        "tokenizer.json": b"{}",
        "model.onnx": graph,
    }
    return write_files(folder, files)


def test_a_raw_fetch_does_not_move_current(
    preparing: PreparingPods, server: Hub, tmp_path: Path
) -> None:
    old = server.push("acme/bert", raw(tmp_path / "old", b"old"))
    new = server.push("acme/bert", raw(tmp_path / "new", b"new"))
    store = Store(preparing.store)
    own = publish_fake(store, with_weights(GOOD), name="acme--bert")
    for number, commit in enumerate((new, old, new)):
        assert fetch(preparing, number, f"hf://acme/bert@{commit}") == commit.encode()
    assert store.resolve("acme--bert") == own


def test_places_with_one_path_do_not_share_a_model(
    preparing: PreparingPods, server: Hub, tmp_path: Path
) -> None:
    commit = server.push("acme/bert", raw(tmp_path / "hub" / "acme" / "bert", b"hub"))
    folder = raw(tmp_path / "disk" / "acme" / "bert", b"disk")
    fetch(preparing, 1, f"hf://acme/bert@{commit}")
    fetch(preparing, 2, folder.as_uri())
    folders = {version.parents[1] for version in preparing.versions()}
    assert len(folders) == 2


def test_the_preparing_process_inherits_no_secret(
    preparing: PreparingPods, server: Hub, tmp_path: Path
) -> None:
    server.push("acme/bert", raw(tmp_path / "raw", b"graph"))
    secrets = {
        "HF_TOKEN": "hunter2",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "STORAGE_CONFIG": '{"type": "s3", "secret_access_key": "hunter2"}',
        "example.org-headers": '{"Authorization": "hunter2"}',
        "A_DATABASE_PASSWORD": "hunter2",
    }
    preparing.environment |= secrets | {"OMP_NUM_THREADS": "1"}
    fetch(preparing, 1, "hf://acme/bert")
    inherited = json.loads((tmp_path / "image" / "pipeline" / "environment").read_text())
    assert "hunter2" not in json.dumps(inherited)
    assert inherited["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize("leaving", ["/{other}/models/m", "../../{other}/models/m", "../models/m"])
def test_a_warm_path_does_not_leave_the_store(leaving: str, pods: Pods, tmp_path: Path) -> None:
    publish_fake(Store(pods.store))
    publish_fake(Store(tmp_path / "other"))
    absolute = str(tmp_path / "other").lstrip("/")
    uri = "warm://" + leaving.format(other=absolute if leaving.startswith("/") else "other")
    done = pods.run(1, uri)
    assert done.returncode == 1
    assert "is not of the form warm://" in done.stderr.splitlines()[-1]
    assert not (pods.destination(1) / "package.json").exists()


def test_a_holder_that_was_stopped_and_wakes_disturbs_nobody(pods: Pods, server: Hub) -> None:
    stopped: list[int] = []

    def before_answer(request: Request) -> int | None:
        if request.method == "GET" and request.file == WEIGHTS and not stopped:
            (lease,) = (pods.store / ".leases").iterdir()
            stopped.append(int(lease.read_text().split()[1]))
            os.kill(stopped[0], signal.SIGSTOP)
        return None

    server.before_answer = before_answer
    sleeper = pods.start(1, "hf://acme/bert")
    while not stopped:
        time.sleep(0.01)
    assert stopped == [sleeper.pid]
    assert fetch(pods, 2, "hf://acme/bert") == GOOD
    os.kill(sleeper.pid, signal.SIGCONT)
    log = sleeper.communicate(timeout=60)[1]
    assert sleeper.returncode == 0, log
    verify(pods.destination(1))
    (version,) = pods.versions()
    verify(version)
    assert list((pods.store / ".leases").iterdir()) == []


BAD_MEMORY = """
from pathlib import Path
from storage_init.base import hashing

real = hashing.sha256_file
hashing.sha256_file = lambda path: "0" * 64 if Path(path).name.endswith(".data") else real(path)
"""


def test_a_node_with_bad_memory_takes_no_version_from_the_others(
    pods: Pods, server: Hub, tmp_path: Path
) -> None:
    assert fetch(pods, 1, "hf://acme/bert") == GOOD
    write_files(tmp_path / "bad", {"sitecustomize.py": BAD_MEMORY.encode()})
    pods.environment["PYTHONPATH"] = str(tmp_path / "bad")
    done = pods.run(2, "hf://acme/bert")
    assert done.returncode == 1
    assert "has sha256 000000000000" in done.stderr
    del pods.environment["PYTHONPATH"]
    server.before_answer = lambda _: 503
    pods.environment["WARMSTART_RETRIES"] = "0"
    assert fetch(pods, 3, "hf://acme/bert") == GOOD


def test_a_damaged_version_stays_until_there_is_a_replacement(pods: Pods, server: Hub) -> None:
    assert fetch(pods, 1, "hf://acme/bert") == GOOD
    (version,) = pods.versions()
    flip_byte(version / WEIGHTS)
    server.before_answer = lambda _: 503
    pods.environment["WARMSTART_RETRIES"] = "0"
    assert pods.run(2, "hf://acme/bert").returncode == 1
    assert version.is_dir()
    server.before_answer = lambda _: None
    running = [pods.start(number, "hf://acme/bert") for number in range(3, 7)]
    logs = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0] * 4, logs
    verify(version)
