"""Publication: each key has one whole version, or none."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storage_init.base.errors import PackageError, StoreError
from storage_init.base.hashing import sha256_file
from storage_init.format.signing import check_signature
from storage_init.format.verify import verify
from storage_init.store.layout import Store
from storage_init.store.publish import publish
from tests.support.machine.forks import FORK, SECONDS, run_at_once
from tests.support.models.keys import key_pair, needs_signing
from tests.unit.storage_init.fakes import (
    FILES,
    KEY,
    fake_package,
    publish_fake,
    with_weights,
    write_files,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Barrier

RACE_ROUNDS = 60


def contents(root: Path) -> dict[str, str]:
    """Return the links by target and the files by digest, without the staging area."""
    return {
        str(path.relative_to(root)): str(path.readlink())
        if path.is_symlink()
        else sha256_file(path)
        for path in root.rglob("*")
        if (path.is_symlink() or path.is_file()) and ".staging" not in path.parts
    }


def staged_leftovers(store: Store) -> list[Path]:
    return list((store.root / ".staging").iterdir())


def test_a_published_version_is_whole_and_current_and_its_name_is_a_digest(store: Store) -> None:
    folder = publish_fake(store)
    package = verify(folder)
    assert {entry.path for entry in package.files} == set(FILES)
    assert store.resolve("m") == store.find("m", KEY) == folder
    assert folder.name == sha256_file(folder / "package.json")
    assert not staged_leftovers(store)


@needs_signing
def test_a_version_is_signed_before_readers_can_see_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = key_pair(tmp_path)
    monkeypatch.setenv("WARMSTART_SIGN_KEY", str(keys.private))
    rename, seen = Path.rename, []

    def watched(self: Path, target: Path) -> Path:
        if target.parent.name == "versions":
            check_signature(self, keys.public)
            seen.append(target)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", watched)
    version = publish_fake(store)
    assert seen == [version]
    check_signature(version, keys.public)
    assert verify(version).name == "m"
    assert (version / "package.sig").stat().st_mode & 0o777 == 0o444


@needs_signing
def test_a_signature_does_not_change_the_version(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARMSTART_SIGN_KEY", str(key_pair(tmp_path).private))
    signed = publish_fake(Store(tmp_path / "other"))
    monkeypatch.delenv("WARMSTART_SIGN_KEY")
    assert publish_fake(store).name == signed.name


def test_sha256sum_agrees_with_the_digest_file(published: Path) -> None:
    program = shutil.which("sha256sum")
    if program is None:
        pytest.skip("no sha256sum on this machine")
    subprocess.run([program, "--check", "--strict", "SHA256SUMS"], cwd=published, check=True)


def test_everyone_can_read_a_version_and_nobody_can_write_it(published: Path) -> None:
    for path in [published, *published.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o444), path


def test_readers_can_open_a_store_despite_a_restrictive_umask(store: Store) -> None:
    code = (
        "import sys, pathlib; from storage_init.store.layout import Store;"
        "from tests.unit.storage_init.fakes import publish_fake;"
        "publish_fake(Store(pathlib.Path(sys.argv[1])))"
    )
    subprocess.run([sys.executable, "-c", code, store.root], check=True, umask=0o077)
    folder = store.resolve("m")
    while folder != store.root.parent:
        assert folder.stat().st_mode & 0o055 == 0o055, folder
        folder = folder.parent


@pytest.mark.parametrize("files", [FILES, with_weights(b"measured again")], ids=["same", "other"])
def test_a_second_publication_of_a_key_keeps_the_first_version(
    store: Store, published: Path, files: dict[str, bytes]
) -> None:
    before = contents(store.root)
    assert publish_fake(store, files) == published
    assert contents(store.root) == before
    assert not staged_leftovers(store)


def test_another_key_becomes_current_and_the_older_version_stays(
    store: Store, published: Path
) -> None:
    newer = publish_fake(store, with_weights(b"newer"), key="b" * 64)
    assert store.resolve("m") == newer
    assert sorted(store.versions("m")) == sorted([published.name, newer.name])
    assert store.find("m", KEY) == published
    assert publish_fake(store) == published
    assert store.resolve("m") == published


def test_a_key_of_a_removed_version_can_be_claimed_again(store: Store, published: Path) -> None:
    shutil.rmtree(published)
    fresh = publish_fake(store, with_weights(b"prepared again"))
    assert store.find("m", KEY) == store.resolve("m") == fresh
    assert store.versions("m") == [fresh.name]


def test_current_replaces_an_empty_folder(store: Store) -> None:
    current = store.model_folder("m") / "current"
    current.mkdir(parents=True)
    assert publish_fake(store) == store.resolve("m")
    assert current.is_symlink()


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({**FILES, "a file name.txt": b"x"}, r"files\[0\]\.path"),
        ({"fp32/model.onnx": b"x"}, r"tokenizer\.json is needed but not listed"),
    ],
)
def test_a_package_that_readers_would_refuse_is_not_published(
    store: Store, published: Path, files: dict[str, bytes], problem: str
) -> None:
    before = contents(store.root)
    with pytest.raises(PackageError, match=problem):
        publish_fake(store, files, key="b" * 64)
    assert contents(store.root) == before
    assert not staged_leftovers(store)


def test_a_package_with_a_link_is_not_published(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"may change at any time")
    mode = outside.stat().st_mode
    with store.staging() as staged:
        write_files(staged)
        (staged / "evidence.json").unlink()
        (staged / "evidence.json").symlink_to(outside)
        with pytest.raises((StoreError, PackageError), match=r"evidence\.json"):
            publish(store, staged, fake_package)
    assert store.versions("m") == []
    assert outside.stat().st_mode == mode


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Make writes beyond ``size`` bytes fail as on a full disk, even for root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_store_unchanged(store: Store, published: Path) -> None:
    before = contents(store.root)
    refused = pytest.raises(StoreError, match=f"cannot write to store {store.root}: File too")
    with refused, largest_file(100):
        publish_fake(store, with_weights(b"newer"), key="b" * 64)
    assert contents(store.root) == before
    assert store.resolve("m") == published
    assert not staged_leftovers(store)


def _race(store: Store, writer: int, start: Barrier) -> None:
    for index in range(RACE_ROUNDS):
        with store.staging() as staged:
            write_files(staged, with_weights(f"writer {writer}".encode()))
            start.wait(SECONDS)
            publish(store, staged, partial(fake_package, name=f"m{index}"))


def test_two_writers_of_one_key_leave_one_version_that_has_it(store: Store) -> None:
    start = FORK.Barrier(2)
    assert run_at_once(*(partial(_race, store, writer, start) for writer in range(2))) == [0, 0]
    assert len(store.names()) == RACE_ROUNDS
    for name in store.names():
        assert store.find(name, KEY) == store.resolve(name)
        # gc removes the version of the writer that came second.
        for version in store.versions(name):
            verify(store.version_folder(name, version))
    assert not staged_leftovers(store)
