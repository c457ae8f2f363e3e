"""``WARMSTART_SIGN_KEY`` and ``WARMSTART_VERIFY_KEY`` in real processes, with real keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import msgspec
import pytest

from benchmarks.harness.process import predictor, run_to_end
from storage_init.base.files import list_files
from storage_init.format import codec
from storage_init.format.package import PACKAGE_FILE, SIGNATURE_FILE, SUMS_FILE, Limits
from storage_init.format.reading import read_package
from storage_init.format.signing import SIGN_VARIABLE, VERIFY_VARIABLE, check_signature, sign
from storage_init.format.verify import verify
from storage_init.store.layout import Store
from tests.support.models.exports import export_onnx
from tests.support.models.keys import KeyPair, key_pair, needs_signing
from tests.support.models.packages import flip_byte, writable_copy
from tests.support.servers.hub import hub
from tests.support.servers.web import web
from tests.unit.storage_init.fakes import publish_fake, write_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

pytestmark = [pytest.mark.integration, needs_signing]

URI = "hf://owner/model"
RAW = {"config.json": b"{}", "model.safetensors": bytes(1000), "tokenizer.json": b"{}"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def signed(tmp_path: Path, keys: KeyPair) -> Path:
    """A signed package of a few bytes that may be changed."""
    folder = writable_copy(publish_fake(Store(tmp_path / "first")), tmp_path / "signed")
    sign(folder, keys.private)
    return folder


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    folder = tmp_path / "mnt"
    folder.mkdir()
    return folder


def _unsigned(folder: Path, _: KeyPair) -> None:
    (folder / SIGNATURE_FILE).unlink()


def _signed_by_another(folder: Path, keys: KeyPair) -> None:
    sign(folder, key_pair(keys.private.parent, "another").private)


def _other_description(folder: Path, _: KeyPair) -> None:
    """Well-formed, and with the digest file that belongs to it."""
    package, _version = read_package(folder)
    shorter = Limits(max_length=package.limits.max_length - 1)
    content = codec.encode(msgspec.structs.replace(package, limits=shorter))
    (folder / PACKAGE_FILE).write_bytes(content)
    (folder / SUMS_FILE).write_bytes(codec.sums(package, content))


def _other_weights(folder: Path, _: KeyPair) -> None:
    path = folder / "fp32/model.onnx.data"
    flip_byte(path, path.stat().st_size // 2)


def _altered_signature(folder: Path, _: KeyPair) -> None:
    path = folder / SIGNATURE_FILE
    bundle = json.loads(path.read_bytes())
    (entry,) = bundle["dsseEnvelope"]["signatures"]
    entry["sig"] = entry["sig"][:40] + ("A" if entry["sig"][40] != "A" else "B") + entry["sig"][41:]
    path.write_text(json.dumps(bundle))


def _truncated_signature(folder: Path, _: KeyPair) -> None:
    path = folder / SIGNATURE_FILE
    path.write_bytes(path.read_bytes()[:-100])


def _no_key(_: Path, keys: KeyPair) -> None:
    keys.public.unlink()


def _malformed_key(_: Path, keys: KeyPair) -> None:
    keys.public.write_text(keys.private.read_text()[:-60])


DAMAGES = {
    "unsigned": (_unsigned, "it is not signed: it has no package.sig"),
    "another key": (_signed_by_another, "was not made with the private key of"),
    "package.json": (_other_description, "package.json changed after it was signed"),
    "weights": (_other_weights, "fp32/model.onnx.data has sha256"),
    "signature": (_altered_signature, "package.sig was not made with the private key"),
    "truncated": (_truncated_signature, "package.sig is not a complete signature"),
    "no key": (_no_key, "key.pub cannot be read: No such file or directory"),
    "malformed key": (_malformed_key, "key.pub is not a usable public key"),
}
damages = pytest.mark.parametrize(("damage", "named"), DAMAGES.values(), ids=DAMAGES)


def run(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def initialize(
    source: str, destination: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return run("storage_init", source, str(destination), environment=environment)


def assert_refused(done: subprocess.CompletedProcess[str], *named: str) -> None:
    """Exit code 1, and one last line that holds every one of these."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert " ERROR " in last
    for text in named:
        assert text in last


def assert_no_key_shown(done: subprocess.CompletedProcess[str], keys: KeyPair) -> None:
    for line in keys.private.read_text().splitlines()[1:-1]:
        assert line not in done.stdout + done.stderr


def test_the_initializer_brings_what_is_signed(
    signed: Path, keys: KeyPair, destination: Path
) -> None:
    done = initialize(signed.as_uri(), destination, {VERIFY_VARIABLE: str(keys.public)})
    assert done.returncode == 0, done.stderr
    assert list_files(destination) == list_files(signed)


@damages
def test_the_initializer_brings_nothing_else(
    signed: Path,
    keys: KeyPair,
    destination: Path,
    damage: Callable[[Path, KeyPair], None],
    named: str,
) -> None:
    damage(signed, keys)
    done = initialize(signed.as_uri(), destination, {VERIFY_VARIABLE: str(keys.public)})
    assert_refused(done, named)
    assert_no_key_shown(done, keys)
    assert list_files(destination) == set()


def test_a_version_of_the_store_is_delivered_once_it_is_signed(
    store: Store, keys: KeyPair, destination: Path
) -> None:
    version = publish_fake(store)
    environment = {"WARMSTART_STORE": str(store.root), VERIFY_VARIABLE: str(keys.public)}
    assert_refused(initialize("warm://m", destination, environment), "it is not signed")
    done = run("storage_init.store", "sign", str(store.root), "m", f"--key={keys.private}")
    assert (done.returncode, done.stdout) == (0, f"signed  m@{version.name}\n"), done.stderr
    done = initialize("warm://m", destination, environment)
    assert done.returncode == 0, done.stderr
    assert list_files(destination) == list_files(version)


def test_the_weights_of_what_is_not_signed_are_not_fetched(
    tmp_path: Path, signed: Path, keys: KeyPair, destination: Path, store: Store
) -> None:
    (signed / SIGNATURE_FILE).unlink()
    with hub({"owner/model": signed}) as server:
        for extra in ({}, {"WARMSTART_STORE": str(store.root)}):
            environment = server.environment(tmp_path) | {VERIFY_VARIABLE: str(keys.public)}
            assert_refused(
                initialize(URI, destination, environment | extra), URI, "it is not signed"
            )
        assert server.downloads() == {PACKAGE_FILE, SUMS_FILE}
    assert list((store.root / ".staging").iterdir()) == []


def test_a_signature_comes_with_a_package_whether_or_not_it_is_asked_for(
    tmp_path: Path, signed: Path, keys: KeyPair, destination: Path, store: Store
) -> None:
    with tarfile.open(tmp_path / "model.tar", "w") as archive:
        archive.add(signed, "model")
    content = {"/model.tar": (tmp_path / "model.tar").read_bytes()}
    with hub({"owner/model": signed}) as server, web(content) as site:
        sources = {"hub": URI, "file": signed.as_uri(), "archive": f"{site.url}/model.tar"}
        stored = {"WARMSTART_STORE": str(store.root)}
        for name, uri in sources.items():
            for kind, extra in (("direct", {}), ("miss", stored), ("hit", stored)):
                target = destination / name / kind
                done = initialize(uri, target, server.environment(tmp_path) | extra)
                assert done.returncode == 0, done.stderr
                check_signature(target, keys.public)
                verify(target)


def test_a_destination_without_the_signature_is_filled_anew(
    signed: Path, keys: KeyPair, destination: Path, store: Store
) -> None:
    environment = {"WARMSTART_STORE": str(store.root)}
    assert initialize(signed.as_uri(), destination, environment).returncode == 0
    (destination / SIGNATURE_FILE).unlink()
    assert initialize(signed.as_uri(), destination, environment).returncode == 0
    check_signature(destination, keys.public)


def test_a_package_that_was_signed_after_the_store_had_it_brings_its_signature(
    signed: Path, keys: KeyPair, destination: Path, store: Store
) -> None:
    good = (signed / SIGNATURE_FILE).read_bytes()
    environment = {"WARMSTART_STORE": str(store.root)}
    (signed / SIGNATURE_FILE).unlink()
    assert initialize(signed.as_uri(), destination / "before", environment).returncode == 0

    # Whose signature it is nobody has asked: it replaces none.
    (signed / SIGNATURE_FILE).write_bytes(good)
    assert initialize(signed.as_uri(), destination / "unasked", environment).returncode == 0
    _signed_by_another(signed, keys)
    assert initialize(signed.as_uri(), destination / "another", environment).returncode == 0
    (version,) = store.root.glob("models/*/versions/*")
    assert (version / SIGNATURE_FILE).read_bytes() == good

    another = {VERIFY_VARIABLE: str(keys.private.parent / "another.pub")}
    assert_refused(
        initialize(signed.as_uri(), destination / "hit", environment | another), "was not made with"
    )


def test_a_new_key_replaces_the_signature_in_the_store(
    signed: Path, keys: KeyPair, destination: Path, store: Store
) -> None:
    stored = {"WARMSTART_STORE": str(store.root)}
    old = stored | {VERIFY_VARIABLE: str(keys.public)}
    assert initialize(signed.as_uri(), destination / "old", old).returncode == 0
    _signed_by_another(signed, keys)
    new = stored | {VERIFY_VARIABLE: str(keys.private.parent / "another.pub")}
    done = initialize(signed.as_uri(), destination / "new", new)
    assert done.returncode == 0, done.stderr
    (version,) = store.root.glob("models/*/versions/*")
    check_signature(version, keys.private.parent / "another.pub")


def test_a_raw_model_is_refused_before_its_weights_are_fetched(
    tmp_path: Path, keys: KeyPair, destination: Path, store: Store
) -> None:
    raw = write_files(tmp_path / "raw", RAW)
    with hub({"owner/model": raw}) as server:
        environment = server.environment(tmp_path) | {VERIFY_VARIABLE: str(keys.public)}
        done = initialize(URI, destination, environment)
        assert_refused(done, URI, "it is not a prepared model, so nobody signed it")
        done = initialize(URI, destination, environment | {"WARMSTART_STORE": str(store.root)})
        assert_refused(done, URI, "requires a signature", "Set WARMSTART_SIGN_KEY too")
        assert server.downloads() == set()
    assert list_files(destination) == set()


def test_a_raw_model_that_is_prepared_here_is_signed_and_served(
    classifier: Path, tmp_path: Path, keys: KeyPair, destination: Path, store: Store
) -> None:
    raw = export_onnx(classifier, tmp_path / "raw")
    environment = {
        "WARMSTART_STORE": str(store.root),
        SIGN_VARIABLE: str(keys.private),
        VERIFY_VARIABLE: str(keys.public),
    }
    done = initialize(raw.as_uri(), destination, environment)
    assert done.returncode == 0, done.stderr
    assert_no_key_shown(done, keys)
    check_signature(destination, keys.public)
    flags = (f"--verify_key={keys.public}", "--variant=fp32")
    with predictor(destination, tmp_path / "log", *flags) as running:
        assert running.predict({"instances": ["good"]}).status_code == 200


def test_a_key_that_cannot_sign_is_found_out_before_the_work(
    tmp_path: Path, keys: KeyPair, destination: Path, store: Store
) -> None:
    raw = write_files(tmp_path / "raw", RAW)
    environment = {"WARMSTART_STORE": str(store.root), SIGN_VARIABLE: str(keys.public)}
    assert_refused(
        initialize(raw.as_uri(), destination, environment), "key.pub is not a usable private key"
    )
    done = run(
        *("pipeline", "run", f"--source={raw.as_uri()}", "--name=m", f"--store={store.root}"),
        environment=environment,
    )
    assert done.returncode == 1
    assert "key.pub is not a usable private key" in done.stderr
    assert "[1/6]" not in done.stderr


@damages
def test_the_predictor_serves_only_what_is_signed_and_as_it_was_signed(
    prepared_classifier: Path,
    tmp_path: Path,
    keys: KeyPair,
    damage: Callable[[Path, KeyPair], None],
    named: str,
) -> None:
    folder = writable_copy(prepared_classifier, tmp_path / "package")
    sign(folder, keys.private)
    damage(folder, keys)
    done = run_to_end(folder, "--variant=fp32", f"--verify_key={keys.public}")
    assert_refused(done, "did not become ready", named)
    assert_no_key_shown(done, keys)


@pytest.mark.parametrize("verify_flag", ["all", "served"])
def test_the_predictor_serves_what_is_signed(
    prepared_classifier: Path,
    tmp_path: Path,
    keys: KeyPair,
    verify_flag: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = writable_copy(prepared_classifier, tmp_path / "package")
    sign(folder, keys.private)
    monkeypatch.setenv(VERIFY_VARIABLE, str(keys.public))
    with predictor(folder, tmp_path / "log", f"--verify={verify_flag}") as running:
        assert running.predict({"instances": ["good"]}).status_code == 200


def test_the_predictor_refuses_a_folder_that_nobody_prepared(
    classifier: Path, tmp_path: Path, keys: KeyPair
) -> None:
    plain = export_onnx(classifier, tmp_path / "plain")
    done = run_to_end(plain, f"--verify_key={keys.public}")
    assert_refused(done, "it is not a prepared model, so nobody signed it")
