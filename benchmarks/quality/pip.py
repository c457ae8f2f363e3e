"""Files out of distributions that pip downloads, without installing them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def download(distribution: str, folder: Path, *flags: str) -> None:
    """Let pip download one distribution, without what it depends on.

    Raises:
        subprocess.CalledProcessError: pip cannot download it, and says why on stderr.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", f"--dest={folder}", *flags, distribution], check=True)
