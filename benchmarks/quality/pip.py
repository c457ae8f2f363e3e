"""Downloads distributions with pip, without installing them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def download(distribution: str, folder: Path, *flags: str) -> None:
    """Download one distribution with pip, without its dependencies.

    Raises:
        subprocess.CalledProcessError: pip cannot download it, and says why on stderr.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", f"--dest={folder}", *flags, distribution], check=True)
