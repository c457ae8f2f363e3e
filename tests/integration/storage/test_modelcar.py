"""``oci://``: a predictor reads its model through a link into another container's root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from predictor.loading.load import load
from predictor.protocol.types import Texts
from predictor.settings import Settings
from storage_init.base.errors import VerificationError
from storage_init.base.files import leads_by_name
from tests.support.models.engines import rows_of
from tests.support.models.packages import flip_byte, writable_copy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

TEXTS = Texts(["the film was good", "a bad book"])
# A modelcar is a process whose root is a file system that nobody else has mounted.
MODELCAR = """
import os, shutil, subprocess, sys
root, model = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", root], check=True)
shutil.copytree(model, root + "/models")
os.chroot(root)
print("up", flush=True)
sys.stdin.read()
"""


@contextmanager
def modelcar(model: Path, tmp_path: Path) -> Iterator[Path]:
    """The link that KServe makes of a running modelcar's files."""
    root = tmp_path / "root"
    root.mkdir()
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("a mount namespace of one's own needs root and unshare")
    command = ["unshare", "--mount", "--propagation=private", sys.executable, "-c", MODELCAR]
    with subprocess.Popen(
        [*command, str(root), str(model)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        if process.stdout.readline() != b"up\n":
            pytest.skip("this machine lets nobody mount file systems")
        link = tmp_path / "models"
        link.symlink_to(f"/proc/{process.pid}/root/models")
        yield link
        process.communicate()


def test_a_modelcars_model_is_checked_and_served(prepared_classifier: Path, tmp_path: Path) -> None:
    with modelcar(prepared_classifier, tmp_path) as link:
        assert not leads_by_name(link)
        assert leads_by_name(prepared_classifier)
        loaded = load(Settings(model_dir=link, verify="all"))
        known = load(Settings(model_dir=prepared_classifier))
        assert (loaded.version, loaded.variant) == (known.version, known.variant)
        rows, wanted = rows_of(loaded.engine, TEXTS), rows_of(known.engine, TEXTS)
    np.testing.assert_allclose(rows, wanted, atol=1e-6)
    # Its weights are the session's own: the modelcar may go.
    np.testing.assert_allclose(rows_of(loaded.engine, TEXTS), wanted, atol=1e-6)


def test_a_modelcar_that_was_altered_is_refused(prepared_classifier: Path, tmp_path: Path) -> None:
    altered = writable_copy(prepared_classifier, tmp_path / "altered")
    flip_byte(altered / "fp32" / "model.onnx.data", 1000)
    with (
        modelcar(altered, tmp_path) as link,
        pytest.raises(VerificationError, match=r"fp32/model\.onnx\.data"),
    ):
        load(Settings(model_dir=link, verify="all"))
