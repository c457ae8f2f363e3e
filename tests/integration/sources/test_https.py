"""``https://`` sources over TLS, as the process that KServe starts."""

from __future__ import annotations

import datetime
import io
import ipaddress
import os
import random
import ssl
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from storage_init.base.files import list_files
from storage_init.fetch.initializer import INCOMING
from storage_init.format.verify import verify
from storage_init.store.layout import Store
from tests.support.servers.web import Answer, Request, Web, web
from tests.unit.storage_init.fakes import publish_fake

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.integration

WEIGHTS = random.Random(0).randbytes(40_000_000)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this machine with its key, in one file; it is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "cabundle.crt"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def server(certificate: Path) -> Iterator[Web]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with web({"/model.onnx": WEIGHTS}, context) as running:
        yield running


def settings(certificate: Path) -> dict[str, str]:
    """What KServe sets where a cluster has certificates of its own."""
    return {
        "CA_BUNDLE_CONFIGMAP_NAME": "certificates",
        "CA_BUNDLE_VOLUME_MOUNT_POINT": str(certificate.parent),
    }


def command(uri: str, destination: Path) -> list[str]:
    return [sys.executable, "-m", "storage_init", uri, str(destination)]


def environment(more: Mapping[str, str]) -> dict[str, str]:
    own = {"REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"}
    inherited = {key: value for key, value in os.environ.items() if key not in own}
    return inherited | {"NO_PROXY": "127.0.0.1"} | dict(more)


def initialize(
    uri: str, destination: Path, more: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(uri, destination),
        env=environment(more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_download_cut_at_random_bytes_goes_on_from_there(
    server: Web, certificate: Path, tmp_path: Path
) -> None:
    uri = f"{server.url}/model.onnx"
    server.cut_short["/model.onnx"] = [random.Random(n).randrange(8_000_000) for n in range(4)]
    done = initialize(uri, tmp_path / "d", settings(certificate))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "d" / "model.onnx").read_bytes() == WEIGHTS
    # A first byte to resolve it and one to fetch it; a chunk that breaks may be lost.
    assert server.sent["/model.onnx"] <= len(WEIGHTS) + 2 + 4 * (1 << 20)
    assert "trying again" in done.stderr


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(
    server: Web, tmp_path: Path
) -> None:
    done = initialize(f"{server.url}/model.onnx", tmp_path / "d", {})
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert f"{server.url}/model.onnx cannot be fetched: SSLCertVerificationError: " in last
    assert "trying again" not in done.stderr
    assert server.requests == []


def test_a_redirect_does_not_lead_to_plain_http_on_this_machine(
    server: Web, certificate: Path, tmp_path: Path
) -> None:
    with web({"/model.onnx": WEIGHTS}) as inside:
        moved = Answer(302, {"Location": f"{inside.url}/model.onnx?sig=hunter2"})
        server.answer = lambda _: moved
        done = initialize(f"{server.url}/model.onnx", tmp_path / "d", settings(certificate))
        assert done.returncode == 1
        assert f"{inside.url}/model.onnx is refused: use https://" in done.stderr
        assert "hunter2" not in done.stderr
        assert inside.requests == []


def test_an_archive_of_a_prepared_model_arrives_verified(
    server: Web, certificate: Path, tmp_path: Path
) -> None:
    version = publish_fake(Store(tmp_path / "store"))
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        tar.add(version, "m")
    server.files["/m.tar.gz"] = content.getvalue()
    done = initialize(f"{server.url}/m.tar.gz", tmp_path / "d", settings(certificate))
    assert done.returncode == 0, done.stderr
    assert verify(tmp_path / "d") == verify(version)


def test_a_hostile_archive_is_refused_by_name_and_leaves_nothing(
    server: Web, certificate: Path, tmp_path: Path
) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        member = tarfile.TarInfo("../../evil.json")
        tar.addfile(member)
    server.files["/m.tar"] = content.getvalue()
    destination = tmp_path / "a" / "d"
    done = initialize(f"{server.url}/m.tar", destination, settings(certificate))
    assert done.returncode == 1
    assert "is refused: its file '../../evil.json'" in done.stderr.splitlines()[-1]
    assert list_files(tmp_path) == set()


def test_a_killed_fetch_goes_on_in_the_same_folder(
    server: Web, certificate: Path, tmp_path: Path
) -> None:
    # As a store's next holder does it: the initializer's own folder starts anew.
    script = (
        "import sys, pathlib; from storage_init import sources; "
        "sources.fetch(sources.resolve(sys.argv[1]), pathlib.Path(sys.argv[2]))"
    )
    arguments = [sys.executable, "-c", script, f"{server.url}/model.onnx", str(tmp_path / "d")]
    environment_ = environment(settings(certificate))
    running: list[subprocess.Popen[bytes]] = []

    def kill(request: Request) -> None:
        if running and request.headers["Range"].startswith("bytes=33554432-"):
            running.pop().kill()

    server.answer = kill
    with subprocess.Popen(arguments, env=environment_) as process:
        running.append(process)
    assert process.returncode == -9
    assert [path.name for path in (tmp_path / "d").iterdir()] == [".fetch"]
    assert subprocess.run(arguments, env=environment_, check=False).returncode == 0
    assert (tmp_path / "d" / "model.onnx").read_bytes() == WEIGHTS
    assert not (tmp_path / "d" / INCOMING).exists()
