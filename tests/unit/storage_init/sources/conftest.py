"""Short waits between retries, and an environment without settings for sources."""

from __future__ import annotations

import os

import pytest

from storage_init.sources.transfer import failures


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_WAIT_SECONDS", 0.01)
    for name in os.environ:
        if name.startswith(("AWS_", "S3_", "STORAGE_", "WARMSTART_", "CA_BUNDLE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
