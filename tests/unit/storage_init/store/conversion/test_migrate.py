"""A store of format 2 is turned over while pods read it, and whoever kills the migration."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storage_init.base.files import list_files, swap
from storage_init.format import measurements
from storage_init.format.codec import key_of
from storage_init.format.reading import read_package
from storage_init.format.verify import verify
from storage_init.store import pins
from storage_init.store.conversion import migrate as migration
from storage_init.store.conversion.migrate import migrate
from tests.unit.storage_init.fakes import publish_fake, read_files, with_weights, write_files
from tests.unit.storage_init.format import vectors

if TYPE_CHECKING:
    from storage_init.store.layout import Store

OLD = vectors.OLD_VERSION
SHELF = "owner--model+0123456789abcdef"
STEPS = ("link_files", "put_in_place", "fsync", "swap")


class _KilledError(BaseException):
    """As if the process died here."""


@pytest.fixture
def old(store: Store) -> Path:
    """A version that the last release with format 2 published, with all links that lead to it."""
    files = {path: text.encode() for path, text in vectors.files_of("format-2").items()}
    (store.root / ".staging").mkdir(parents=True)
    folder = write_files(store.version_folder("m", OLD), files)
    key = read_package(folder)[0].key
    (folder.parents[1] / "keys").mkdir()
    (folder.parents[1] / "keys" / key).symlink_to(f"../versions/{OLD}")
    (folder.parents[1] / "current").symlink_to(f"versions/{OLD}")
    write_files(store.version_folder(SHELF, OLD), files)
    (store.root / "fetched").mkdir()
    (store.root / "fetched" / "a").symlink_to(f"../models/{SHELF}/versions/{OLD}")
    pins.pin(store, "m", OLD, "team.service")
    return folder


def assert_migrated(store: Store, old: Path) -> None:
    """Everything but the pin leads to a version of format 3; the old one is as it was."""
    new = store.resolve("m")
    package = verify(new)
    assert (package.format_version, len(new.name)) == (3, 64)
    assert package.key == key_of(package.source, package.recipe_digest)
    assert store.find("m", package.key) == new
    assert (store.root / "fetched" / "a").resolve() == store.version_folder(SHELF, new.name)
    assert verify(store.version_folder(SHELF, new.name)) == package
    assert verify(old).format_version == 2
    assert pins.owners(store, "m", OLD) == ["team.service"]
    assert store.find("m", read_package(old)[0].key) == old


def test_a_store_is_turned_over_without_a_byte_of_weights_copied(store: Store, old: Path) -> None:
    before = read_files(old)
    shelved, named = sorted(migrate(store), key=lambda found: found.model != SHELF)
    assert (shelved.moved, named.moved[-1]) == (["fetched/a"], "current")
    assert named.pins == ["team.service"]
    assert_migrated(store, old)
    assert read_files(old) == before
    new = store.resolve("m")
    assert (new / "fp32/model.onnx.data").samefile(old / "fp32/model.onnx.data")
    assert (new / "report.html").read_bytes() == before["report.html"]
    measured = [measurements.read(folder, *read_package(folder)) for folder in (old, new)]
    assert measured[0].variants == measured[1].variants
    assert measured[1].speed("int8") is not None
    assert [found.moved for found in migrate(store)] == [[], []]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_migration_that_dies_is_finished_by_the_next(
    store: Store, old: Path, step: str, turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = getattr(migration, step), [turn]

    def dying(*arguments: object) -> object:
        done = real(*arguments)
        left[0] -= 1
        if not left[0]:
            raise _KilledError
        return done

    with monkeypatch.context() as patched:
        patched.setattr(migration, step, dying)
        with suppress(_KilledError):
            list(migrate(store))
    verify(store.resolve("m"))
    list(migrate(store))
    assert_migrated(store, old)


def test_current_that_a_publisher_moves_meanwhile_stays_where_it_was_moved(
    store: Store, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = swap
    published: list[Path] = []

    def overtaken(one: Path, other: Path) -> bool:
        if other.name == "current" and not published:
            published.append(publish_fake(store, with_weights(b"newer"), key="e" * 64))
        return real(one, other)

    monkeypatch.setattr(migration, "swap", overtaken)
    assert "current" not in [moved for found in migrate(store) for moved in found.moved]
    assert store.resolve("m") == published[0]
    assert old.is_dir()


def test_damaged_and_signed_versions_are_left_alone_with_the_reason(
    store: Store, old: Path
) -> None:
    (old / "package.sig").write_text("{}")
    shelved = store.version_folder(SHELF, OLD)
    (shelved / "tokenizer.json").unlink()
    problems = {found.model: found.problem for found in migrate(store)}
    assert problems["m"].startswith("it is signed")
    assert problems[SHELF] == "tokenizer.json is missing"
    assert store.current("m") == OLD


def test_readers_find_a_whole_version_throughout_a_migration_in_another_process(
    store: Store, old: Path
) -> None:
    # Versions of the same content under many names: a migration that takes a while.
    for number in range(40):
        folder = store.model_folder(f"m{number}") / "versions" / OLD
        shutil.copytree(old, folder)
        (folder.parents[1] / "current").symlink_to(f"versions/{OLD}")
    command = [sys.executable, "-m", "storage_init.store", "migrate", str(store.root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while process.poll() is None:
        folder = Path(os.path.realpath(store.model_folder("m") / "current"))
        assert verify(folder).name == "m"
    printed = (process.stdout.read() if process.stdout else b"").decode()
    # The other models' packages say that they are of another model.
    assert (process.returncode, printed.count("describes model m")) == (1, 40), printed
    assert_migrated(store, old)
    assert not list_files(store.root / ".staging")
