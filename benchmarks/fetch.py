"""``make bench-fetch``: the storage initializer beside KServe's own, from one S3 server.

A package of DistilBERT-base's size is fetched in turns: by kserve-storage, by us into an empty
store (a miss), by us from the store (a hit), by us from the store without asking the server (its
revision was asked for a moment ago, or a version is named), and by us without a store. Each is a
process of its own, as in a pod. Beside them stand our bare start and this machine's SHA-256 over
the same bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.harness.seaweed import Seaweed, environment, seaweed
from benchmarks.models import DISTILBERT, prepare
from storage_init.base.cpus import cpu_model, usable_cpus
from storage_init.base.files import list_files
from storage_init.base.hashing import sha256_file

PREFIX = f"s3://models/{DISTILBERT}"
KSERVE = "import sys; from kserve_storage import Storage; Storage.download(*sys.argv[1:])"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description="Fetch a prepared model in several ways.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="keeps the model")
    parser.add_argument("--out", type=Path, default=Path(".bench/fetch.json"))
    arguments = parser.parse_args(argv)
    package = prepare(DISTILBERT, arguments.folder.resolve()).folder
    size = sum((package / path).stat().st_size for path in list_files(package))
    with (
        tempfile.TemporaryDirectory(dir=arguments.folder.resolve()) as scratch,
        seaweed(Path(scratch)) as s3,
    ):
        _upload(s3, package)
        seconds = _measure(Path(scratch), s3.url, package, arguments.runs)
    report = _report(seconds, size)
    arguments.out.write_text(json.dumps(report, indent=2))
    _print(report)
    return 0


def _upload(s3: Seaweed, package: Path) -> None:
    for path in list_files(package):
        s3.put(f"{DISTILBERT}/{path}", (package / path).read_bytes())


def _measure(scratch: Path, url: str, package: Path, runs: int) -> dict[str, list[float]]:
    """Seconds of each way; the ways take turns, so that noise hits all of them alike."""
    plain: dict[str, str] = {}
    store = {"WARMSTART_STORE": str(scratch / "store")}
    recheck = store | {"WARMSTART_RECHECK_SECONDS": "3600"}
    initializer = [sys.executable, "-m", "storage_init"]
    ways: dict[str, tuple[list[str], str, dict[str, str]]] = {
        "kserve-storage": ([sys.executable, "-c", KSERVE], PREFIX, plain),
        "miss": (initializer, PREFIX, store),
        "hit": (initializer, PREFIX, store),
        "hit, revision just asked": (initializer, PREFIX, recheck),
        "hit by name": (initializer, f"warm://{DISTILBERT}", store),
        "no store": (initializer, PREFIX, plain),
    }
    seconds: dict[str, list[float]] = {}
    for _ in range(runs):
        for name, (command, source, variables) in ways.items():
            pod = scratch / "pod"
            taken = _run([*command, source, str(pod)], environment(url) | variables)
            seconds.setdefault(name, []).append(taken)
            shutil.rmtree(pod)
        shutil.rmtree(scratch / "store")
        start = _run([sys.executable, "-c", "import storage_init.__main__"], {})
        seconds.setdefault("bare start", []).append(start)
        seconds.setdefault("sha256, one core", []).append(_hash(package, 1))
        seconds.setdefault("sha256, all cores", []).append(_hash(package, usable_cpus()))
    return seconds


def _run(command: list[str], variables: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=os.environ | variables)
    return time.perf_counter() - start


def _hash(package: Path, threads: int) -> float:
    paths = sorted(list_files(package), key=lambda path: -(package / path).stat().st_size)
    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda path: sha256_file(package / path), paths))
    return time.perf_counter() - start


def _report(seconds: dict[str, list[float]], size: int) -> dict[str, Any]:
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    kserve, hit_by_name = medians["kserve-storage"], medians["hit by name"]
    verifying = hit_by_name - medians["bare start"]
    return {
        "cpu": cpu_model(),
        "cpus": usable_cpus(),
        "megabytes": round(size / 1e6, 1),
        "median_seconds": {name: round(value, 3) for name, value in medians.items()},
        "seconds": seconds,
        "miss_to_kserve": round(medians["miss"] / kserve, 2),
        "kserve_to_hit": round(kserve / medians["hit"], 1),
        "kserve_to_hit_just_asked": round(kserve / medians["hit, revision just asked"], 1),
        "no_store_to_kserve": round(medians["no store"] / kserve, 2),
        "kserve_to_hit_by_name": round(kserve / hit_by_name, 1),
        "hit_rate_to_sha256_one_core": round(medians["sha256, one core"] / verifying, 2),
        "hit_rate_to_sha256_all_cores": round(medians["sha256, all cores"] / verifying, 2),
    }


def _print(report: dict[str, Any]) -> None:
    print(f"{report['megabytes']} MB on {report['cpus']} CPUs of {report['cpu']}, medians\n")
    print("| way | seconds |\n|---|---|")
    for name, value in report["median_seconds"].items():
        print(f"| {name} | {value:.3f} |")
    print()
    for ratio in [key for key in report if "_to_" in key]:
        print(f"{ratio.replace('_', ' ')}: {report[ratio]}")


if __name__ == "__main__":
    sys.exit(main())
