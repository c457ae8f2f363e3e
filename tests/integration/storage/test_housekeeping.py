"""``python -m storage_init.store``: its commands, and a collection amid kills, readers, writers."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from storage_init.base.errors import PackageError, StoreError, VerificationError
from storage_init.format.package import PACKAGE_FILE, SUMS_FILE
from storage_init.format.verify import verify
from storage_init.store.gc.collect import collect
from storage_init.store.gc.retention import Policy
from storage_init.store.layout import STAGING, Store
from tests.support.machine import interrupt
from tests.support.machine.forks import FORK, run_at_once
from tests.support.machine.holding import held
from tests.support.machine.interrupt import choose_steps, die, run_in_child
from tests.unit.storage_init.fakes import FILES, publish_fake, with_weights

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

EAGER = Policy(keep=1, min_age=0.0)
KILLS = 30


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def versions(store: Store) -> list[str]:
    """Eight versions of one model, a day apart, the oldest first; the last is current."""
    names = []
    for index in range(8):
        folder = publish_fake(store, with_weights(f"{index}".encode()), key=f"{index:064}")
        names.append(folder.name)
        age(folder, (8 - index) * 86400)
    return names


def age(folder: Path, seconds: float) -> None:
    for path in (folder, folder / PACKAGE_FILE):
        os.utime(path, (time.time() - seconds,) * 2)


def run(command: str, store: Store, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "storage_init.store", command, str(store.root), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def document(command: str, store: Store, *arguments: str, code: int = 0) -> Any:
    done = run(command, store, *arguments, "--json")
    assert (done.returncode, done.stderr) == (code, "")
    return json.loads(done.stdout)


def test_every_command_prints_a_table_and_a_document(store: Store, versions: list[str]) -> None:
    current, commands = versions[-1], ("list", "verify", "stats", "gc")
    for command, arguments in [("show", ["m"]), *((name, []) for name in commands)]:
        done = run(command, store, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert current[:12] in done.stdout
        assert json.loads(run(command, store, *arguments, "--json").stdout)["store"]
    assert store.versions("m") == sorted(versions[-2:])
    listed = document("list", store)["versions"]
    assert [version["version"] for version in listed] == [versions[-1], versions[-2]]
    assert versions[-2][:6] != versions[-1][:6]
    shown = document("show", store, f"m@{versions[-2][:6]}")
    assert (shown["version"], shown["package"]["name"]) == (versions[-2], "m")
    assert document("stats", store)["models"][0]["versions"] == 2


@pytest.mark.parametrize(
    "arguments",
    [[], ["list"], ["gc", "/s", "--keep", "-1"], ["gc", "/s", "--min-age", "1"], ["show", "/s"]],
)
def test_what_is_not_understood_is_exit_code_2(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "storage_init.store", *arguments]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2


@pytest.mark.parametrize("command", ["list", "verify", "stats", "gc"])
def test_a_store_that_is_not_there_is_one_clear_line(store: Store, command: str) -> None:
    done = run(command, store)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{store.root} is not a store: No such file or directory\n"


ALL = [*FILES, PACKAGE_FILE, SUMS_FILE]


def damage(folder: Path, kind: str, path: str) -> set[str]:
    """Damage a file; the paths that must be named."""
    target = folder / path
    content = target.read_bytes()
    if kind == "extra":
        (folder / f"{path}.extra").write_bytes(content)
        return {f"{path}.extra"}
    if kind == "swapped":
        other = ALL[(ALL.index(path) + 1) % len(ALL)]
        target.rename(folder / "aside")
        (folder / other).rename(target)
        (folder / "aside").rename(folder / other)
        return {path, other}
    target.unlink()
    flipped = bytes([content[0] ^ 1]) + content[1:]
    damaged = {"flipped": flipped, "truncated": content[:-1], "emptied": b""}
    if kind in damaged:
        target.write_bytes(damaged[kind])
    return {path}


KINDS = ("flipped", "truncated", "emptied", "removed", "swapped", "extra")


def test_damage_of_every_kind_to_every_file_is_reported_by_name(store: Store) -> None:
    expected = {}
    for number, (kind, path) in enumerate((kind, path) for kind in KINDS for path in ALL):
        name = f"{kind}-{number}"
        expected[name] = damage(publish_fake(store, name=name), kind, path)
    publish_fake(store, name="whole")
    found = document("verify", store, code=1)["versions"]
    named = {
        version["model"]: {problem.split()[0] for problem in version["problems"]}
        for version in found
    }
    assert named == {**expected, "whole": set()}
    assert len(named) == len(KINDS) * len(ALL) + 1
    assert {version["model"] for version in found if version["ok"]} == {"whole"}

    done = run("verify", store, "removed-27")
    assert done.returncode == 1
    assert f"        {ALL[0]} is missing\n" in done.stdout
    assert run("verify", store, "whole").returncode == 0


def test_a_current_that_names_nothing_is_a_problem(store: Store, versions: list[str]) -> None:
    shutil.rmtree(store.version_folder("m", versions[-1]))
    done = run("verify", store)
    assert done.returncode == 1
    assert f"BROKEN  current of m names {versions[-1]}, which does not exist\n" in done.stdout


def test_what_another_process_maps_is_kept_and_the_reason_names_it(
    store: Store, versions: list[str], tmp_path: Path
) -> None:
    weights = "fp32/model.onnx.data"
    link = tmp_path / "linked"
    link.hardlink_to(store.version_folder("m", versions[1]) / weights)
    with held(store.version_folder("m", versions[0]) / weights) as one, held(link) as two:
        for arguments in (["--dry-run"], []):
            gc = document("gc", store, "--keep", "1", "--min-age", "0s", *arguments)
            said = {outcome["name"]: outcome for outcome in gc["outcomes"]}
            for version, process in ((versions[0], one), (versions[1], two)):
                assert said[f"m@{version}"]["action"] == "keep"
                assert (
                    f"{weights} is held open by process {process} "
                    in (said[f"m@{version}"]["reason"])
                )
            assert said[f"m@{versions[2]}"]["action"] == "remove"
        assert sorted(store.versions("m")) == sorted([*versions[:2], versions[-1]])
    document("gc", store, "--keep", "1", "--min-age", "0s")
    assert store.versions("m") == [versions[-1]]
    assert document("verify", store)["problems"] == []


def copied(store: Store, name: str) -> Store:
    """A copy of a store that shares its files: a collection deletes links, and writes to none."""
    root = store.root.with_name(name)
    shutil.copytree(store.root, root, symlinks=True, copy_function=os.link)
    return Store(root)


def collect_in_child(store: Store) -> int:
    """The id of a process that collects."""
    child = os.fork()
    if child:
        return child
    try:
        collect(store, EAGER)
    finally:
        os._exit(0)


def assert_whole(store: Store, current: str) -> None:
    """Every version that can be resolved is whole, and a following collection ends the work."""
    for version in store.versions("m"):
        verify(store.resolve("m", version))
    assert store.resolve("m").name == current
    collect(store, EAGER)
    assert store.versions("m") == [current]
    verify(store.resolve("m"))
    assert [link.name for link in (store.model_folder("m") / "keys").iterdir()] == [f"{7:064}"]
    for path in (store.root / STAGING).rglob("*"):  # what is left goes when it is old enough
        os.utime(path, (0, 0), follow_symlinks=False)
    collect(store, EAGER)
    assert list((store.root / STAGING).iterdir()) == []


@pytest.mark.parametrize("exhaustive", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_collection_killed_before_any_of_its_steps_leaves_whole_versions(
    store: Store, versions: list[str], exhaustive: bool
) -> None:
    for version in versions[:5]:  # three are enough for every step that there is
        shutil.rmtree(store.version_folder("m", version))

    def work(attempt: Store) -> int:
        collect(attempt, EAGER)
        return interrupt.SUCCEEDED

    probe = copied(store, "probe")
    step = 0
    for step in count(1) if exhaustive else choose_steps(probe.root, partial(work, probe)):
        attempt = copied(store, f"step-{step}")
        code = run_in_child(attempt.root, step, die, partial(work, attempt))
        assert_whole(attempt, versions[-1])
        shutil.rmtree(attempt.root)
        if code == interrupt.FINISHED:
            assert exhaustive, f"step {step} is beyond the end"
            break
        assert code == -signal.SIGKILL
    # Two versions, each moved twice, then file by file; seven keys, each moved and removed.
    assert step > 2 * (2 + len(FILES)) + 7 * 2


@pytest.mark.slow
def test_a_collection_killed_at_random_moments_leaves_whole_versions(
    store: Store, versions: list[str]
) -> None:
    attempt = copied(store, "timed")
    start = time.perf_counter()
    os.waitpid(collect_in_child(attempt), 0)
    latest = time.perf_counter() - start
    moments = random.Random(7)
    killed = 0
    while killed < KILLS:
        attempt = copied(store, f"attempt-{killed}")
        child = collect_in_child(attempt)
        time.sleep(moments.uniform(0, latest))
        os.kill(child, signal.SIGKILL)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL:
            killed += 1
        else:
            latest *= 0.9  # it ended first: the machine was slower when it was timed
        assert_whole(attempt, versions[-1])
        shutil.rmtree(attempt.root)


def _publish(root: Path, writer: int, until: float) -> None:
    store, index = Store(root), 0
    while time.monotonic() < until:
        # A few contents in turn: often one that is there, or was until just now.
        content = (writer * 3 + index) % 5
        with suppress(StoreError):  # collected under its hands, and it says so
            publish_fake(store, with_weights(f"{content}".encode()), key=f"{content:064}")
        index += 1


def _collect(root: Path, until: float) -> None:
    while time.monotonic() < until:
        assert not [o for o in collect(Store(root), EAGER) if o.action == "fail"]


def _read(root: Path, until: float, read: Any) -> None:
    while time.monotonic() < until:
        read.value += _read_once(Store(root))


def _read_once(store: Store) -> bool:
    try:
        verify(store.resolve("m"))
    except (StoreError, PackageError):
        return False  # taken away whole before it was looked into
    except VerificationError as error:
        # Files that were taken away with all others; never one that is cut or altered.
        for problem in error.problems:
            assert problem.endswith(("is missing", "No such file or directory")), problem
        return False
    return True


def test_collectors_publishers_and_readers_at_once_end_with_a_whole_store(store: Store) -> None:
    publish_fake(store)
    read = FORK.Value("i", 0)
    until = time.monotonic() + 4
    works = [
        *(partial(_publish, store.root, writer, until) for writer in range(2)),
        *[partial(_collect, store.root, until)] * 2,
        partial(_read, store.root, until, read),
    ]
    assert run_at_once(*works) == [0] * 5
    assert read.value > 10
    for version in store.versions("m"):
        verify(store.resolve("m", version))
    last = publish_fake(store, with_weights(b"last"), key="f" * 64)
    collect(store, EAGER)
    assert store.versions("m") == [last.name]
    verify(store.resolve("m"))
    assert list((store.root / STAGING).iterdir()) == []
