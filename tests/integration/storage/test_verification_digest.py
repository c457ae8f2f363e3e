"""``VERIFICATION_DIGEST``, as KServe's webhook gives it to a storage initializer."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storage_init.base.files import list_files
from storage_init.format.package import PACKAGE_FILE
from storage_init.store.layout import Store
from tests.support.machine.pods import Pods
from tests.support.models.packages import writable_copy
from tests.support.servers.hub import Hub, hub
from tests.support.servers.web import web
from tests.unit.storage_init.fakes import publish_fake, with_weights, write_files

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

OTHER = "b" * 64
RAW = {"config.json": b"{}", "model.safetensors": bytes(1000), "tokenizer.json": b"{}"}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return writable_copy(publish_fake(Store(tmp_path / "made")), tmp_path / "package")


@pytest.fixture
def server(package: Path, tmp_path: Path) -> Iterator[Hub]:
    raw = write_files(tmp_path / "raw", RAW)
    with hub({"acme/bert": package, "acme/raw": raw}) as running:
        yield running


@pytest.fixture(params=["with a store", "without a store"])
def pods(request: pytest.FixtureRequest, tmp_path: Path, server: Hub) -> Pods:
    found = Pods(tmp_path, server)
    if request.param == "without a store":
        del found.environment["WARMSTART_STORE"]
    return found


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def expect(pods: Pods, digest: str, mode: str = "enforce") -> None:
    pods.environment |= {"VERIFICATION_DIGEST": digest, "VERIFICATION_MODE": mode}


def assert_refused(done: subprocess.CompletedProcess[str], *named: str) -> None:
    """Assert that the last line, which becomes the pod's termination message, says why."""
    assert done.returncode == 1, done.stderr
    for text in named:
        assert text in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("form", ["sha256:{}", "{}", "SHA256:{}"])
def test_the_expected_model_is_delivered(pods: Pods, package: Path, form: str) -> None:
    expect(pods, form.format(sha256(package / PACKAGE_FILE).upper()))
    assert pods.run(1, "hf://acme/bert").returncode == 0
    assert (pods.destination(1) / PACKAGE_FILE).is_file()


def test_another_model_is_refused_before_its_weights_are_fetched(
    pods: Pods, package: Path, server: Hub
) -> None:
    expect(pods, OTHER)
    done = pods.run(1, "hf://acme/bert")
    found = sha256(package / PACKAGE_FILE)
    assert_refused(done, "hf://acme/bert is refused", f"sha256:{OTHER}", f"sha256:{found}")
    assert server.downloads() <= {"package.json", "SHA256SUMS"}
    assert list_files(pods.destination(1)) == set()


def test_mode_warn_delivers_another_model_and_says_so(pods: Pods) -> None:
    expect(pods, OTHER, "warn")
    done = pods.run(1, "hf://acme/bert")
    assert done.returncode == 0, done.stderr
    assert "VERIFICATION_MODE=warn" in done.stderr
    assert (pods.destination(1) / PACKAGE_FILE).is_file()


def test_a_version_in_the_store_is_refused_too(tmp_path: Path, server: Hub, package: Path) -> None:
    pods = Pods(tmp_path, server)
    assert pods.run(1, "hf://acme/bert").returncode == 0
    expect(pods, OTHER)
    assert_refused(pods.run(2, "hf://acme/bert"), f"sha256:{sha256(package / PACKAGE_FILE)}")
    other = publish_fake(Store(pods.store), with_weights(b"other"))
    assert_refused(pods.run(3, "warm://m"), f"sha256:{sha256(other / PACKAGE_FILE)}")
    expect(pods, sha256(other / PACKAGE_FILE))
    assert pods.run(4, "warm://m").returncode == 0


def test_a_raw_repository_is_refused_before_its_weights_are_fetched(
    pods: Pods, server: Hub
) -> None:
    expect(pods, OTHER)
    assert_refused(pods.run(1, "hf://acme/raw"), "it is not a prepared model", OTHER)
    assert server.downloads() == set()


def test_a_url_must_lead_to_the_expected_file(pods: Pods, package: Path, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "model"), "zip", package))
    with web({"/model.zip": archive.read_bytes()}) as site:
        expect(pods, sha256(archive))
        assert pods.run(1, f"{site.url}/model.zip").returncode == 0
        assert_refused(pods.run(2, f"{site.url}/model.zip#sha256={OTHER}"), "names another digest")


def test_a_hostile_archive_is_refused_by_its_digest_and_not_unpacked(
    pods: Pods, package: Path
) -> None:
    with web({"/model.zip": b"PK\x03\x04" + b"\xff" * 100}) as site:
        assert "is not a" in (unexpected := pods.run(1, f"{site.url}/model.zip")).stderr
        assert unexpected.returncode == 1
        expect(pods, OTHER)
        assert_refused(pods.run(2, f"{site.url}/model.zip"), "does not have the digest", OTHER)


@pytest.mark.parametrize(
    ("pairs", "digest", "message"),
    [
        (2, OTHER, "VERIFICATION_DIGEST is the digest of one model"),
        (1, "sha256:1", "VERIFICATION_DIGEST=sha256:1: 'sha256:1' is not sha256: and 64 hex"),
    ],
)
def test_a_digest_that_cannot_be_compared_is_refused(
    tmp_path: Path, server: Hub, pairs: int, digest: str, message: str
) -> None:
    pods = Pods(tmp_path, server)
    expect(pods, digest)
    more = ["hf://acme/bert", str(tmp_path / "more")] * (pairs - 1)
    assert_refused(pods.run(1, "hf://acme/bert", *more), message)
