"""Flags that cannot work are refused before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from predictor.server import FlagError, serve
from predictor.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--lane=2"], "unknown argument --lane=2: see --help"),
        (["--workers=2"], "--workers must be 1: .* --lanes"),
        (["stray"], "unknown argument stray"),
    ],
)
def test_a_flag_that_cannot_work_is_refused_first(
    flags: list[str], complaint: str, tmp_path: Path
) -> None:
    # The empty folder would be refused, too, but only when it is loaded.
    with pytest.raises(FlagError, match=complaint):
        serve(Settings(model_dir=tmp_path), flags)
