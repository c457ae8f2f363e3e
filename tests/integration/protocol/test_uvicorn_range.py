"""The HTTP protocol on the oldest uvicorn that the requirements admit, and on one in between."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
TESTS = (
    "tests/unit/predictor/rest/http/test_protocol.py",
    "tests/integration/lifecycle/test_acceptance.py",
)
BETWEEN = "0.44.0"


def oldest() -> str:
    found = re.search(r'"uvicorn>=(\d+\.\d+),', (ROOT / "pyproject.toml").read_text())
    assert found is not None
    return f"{found[1]}.0"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", [oldest(), BETWEEN])
def test_the_protocol_works_on_every_version_that_is_admitted(version: str, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*pip, str(tmp_path), f"uvicorn=={version}"], check=True)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    found = subprocess.run(
        [sys.executable, "-c", "import uvicorn; print(uvicorn.__version__)"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == version
    tests = [sys.executable, "-m", "pytest", "-q", "-n", "0", *TESTS]
    subprocess.run(tests, env=environment, cwd=ROOT, check=True)
