"""Bars on a terminal."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

import pytest

from pipeline.commands.display import Bars

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    monkeypatch.setattr("pipeline.commands.display.REFRESH_SECONDS", 0.01)
    return io.StringIO()


def test_a_terminal_shows_how_much_of_a_download_has_arrived(
    tmp_path: Path, terminal: io.StringIO
) -> None:
    bars = Bars(terminal)
    with bars.downloading(tmp_path, lambda: 4_000_000):
        bars.show("▸ [1/6] snapshot …")
        (tmp_path / "model.safetensors").write_bytes(bytes(1_000_000))
        _wait_for(terminal, "1.00M/4.00M")
    assert " 25%" in terminal.getvalue()
    assert "B/s" in terminal.getvalue()
    bars.show("✓ [1/6] snapshot    1.0 s   40.0 MB  bert")
    assert terminal.getvalue().endswith("✓ [1/6] snapshot    1.0 s   40.0 MB  bert\n")


def test_a_terminal_shows_how_long_a_step_takes(terminal: io.StringIO) -> None:
    bars = Bars(terminal)
    bars.show("▸ [2/6] export   …")
    _wait_for(terminal, "▸ [2/6] export   00:0")
    bars.close()


def _wait_for(stream: io.StringIO, text: str) -> None:
    deadline = time.monotonic() + 5
    while text not in stream.getvalue():
        assert time.monotonic() < deadline, stream.getvalue()
        time.sleep(0.01)
