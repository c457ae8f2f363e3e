"""The predictor does not import modules that cost start time and image size."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {
    "pydantic",
    "torch",
    "transformers",
    "kfp",
    "pandas",
    "fastapi",
    "kubernetes",
    "kserve",
}


def test_serving_imports_nothing_heavy() -> None:
    code = (
        "import sys, predictor.serving.model, predictor.server, predictor.loading.load; "
        "import predictor.__main__; "
        f"print({HEAVY} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
