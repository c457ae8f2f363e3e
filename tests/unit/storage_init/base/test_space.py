"""Limits and room."""

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


def test_room_is_checked_with_both_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    space.check_free(1_000_000, tmp_path, URI)
    with pytest.raises(SourceError) as caught:
        space.check_free(2_500_000, tmp_path, URI)
    assert str(caught.value) == (
        f"{URI} needs 2.5 MB more, but {tmp_path} has only 1.0 MB free: "
        "make room or use a larger volume"
    )


def test_a_model_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MAX_MODEL_BYTES.name, raising=False)
    space.check_size(64 << 30, URI)
    with pytest.raises(SourceError, match=re.escape("is larger (68.7 GB) than the limit of 68.7")):
        space.check_size((64 << 30) + 1, URI)
    monkeypatch.setenv(MAX_MODEL_BYTES.name, "10")
    with pytest.raises(SourceError, match=r"\(11 B\) than the limit of 10 B: raise WARM"):
        space.check_size(11, URI)


def test_what_a_folder_occupies_has_no_holes(tmp_path: Path) -> None:
    assert space.used_bytes(tmp_path / "none") == 0
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(bytes(range(250)) * 40)
    with (tmp_path / "holes").open("wb") as file:
        file.seek(100_000_000)
        file.write(b"x")
    assert 10_000 <= space.used_bytes(tmp_path) <= 10_000 + 65536


def test_progress_is_told_while_it_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
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
    assert second["mb"] == 2.0
    assert second["mb_per_second"] > 0
    assert second["seconds_left"] == 0
    count = len(caplog.records)
    time.sleep(0.15)
    assert len(caplog.records) == count


def test_the_interval_is_at_most_ten_seconds() -> None:
    assert progress.INTERVAL_SECONDS <= 10
