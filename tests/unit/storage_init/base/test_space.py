"""Limits on a model's size, free disk space, and the progress of a download."""

from __future__ import annotations

import logging
import re
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from storage_init.base import space
from storage_init.base.errors import SourceError
from storage_init.base.variables import MAX_MODEL_BYTES
from storage_init.sources.transfer import progress

if TYPE_CHECKING:
    from pathlib import Path

URI = "s3://bucket/model"


def test_a_model_that_does_not_fit_on_the_disk_is_refused_with_both_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    space.check_free(1_000_000, tmp_path, URI)
    with pytest.raises(SourceError) as caught:
        space.check_free(2_500_000, tmp_path, URI)
    assert str(caught.value) == (
        f"{URI} needs 2.5 MB more, but {tmp_path} has only 1.0 MB free: "
        "make room or use a larger volume"
    )


@pytest.mark.parametrize(
    ("limit", "largest", "message"),
    [
        ("", 64 << 30, "is larger (68.7 GB) than the limit of 68.7 GB: raise WARM"),
        ("10", 10, "is larger (11 B) than the limit of 10 B: raise WARM"),
    ],
)
def test_a_model_above_the_limit_is_refused_with_both_numbers(
    limit: str, largest: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MAX_MODEL_BYTES.name, limit)
    space.check_size(largest, URI)
    with pytest.raises(SourceError, match=re.escape(message)):
        space.check_size(largest + 1, URI)


def test_the_holes_of_a_sparse_file_use_no_space(tmp_path: Path) -> None:
    assert space.used_bytes(tmp_path / "none") == 0
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(bytes(range(250)) * 40)
    with (tmp_path / "holes").open("wb") as file:
        file.seek(100_000_000)
        file.write(b"x")
    assert 10_000 <= space.used_bytes(tmp_path) <= 10_000 + 65536


def test_a_download_logs_its_progress_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert progress.INTERVAL_SECONDS <= 10
    monkeypatch.setattr(progress, "INTERVAL_SECONDS", 0.1)
    with caplog.at_level(logging.INFO), progress.reported(tmp_path, 4_000_000, URI):
        while len(caplog.records) < 1:
            time.sleep(0.001)
        (tmp_path / "part").write_bytes(bytes(range(250)) * 8000)
        while len(caplog.records) < 2:
            time.sleep(0.001)
    first, second = (record.fields for record in caplog.records[:2])  # type: ignore[attr-defined]
    assert first["uri"] == URI
    assert (first["mb"], first["total_mb"], first["seconds_left"]) == (0.0, 4.0, "unknown")
    assert (second["mb"], second["seconds_left"]) == (2.0, 0)
    assert second["mb_per_second"] > 0
    count = len(caplog.records)
    time.sleep(0.15)
    assert len(caplog.records) == count
