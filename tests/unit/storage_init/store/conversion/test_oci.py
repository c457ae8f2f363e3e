"""A version as an OCI artifact: through skopeo and back, every byte of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from storage_init.base.errors import PackageError, StoreError, VerificationError
from storage_init.format.package import MEASUREMENTS_FILE
from storage_init.store.conversion import oci
from storage_init.store.layout import Store
from tests.unit.storage_init.fakes import read_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def layout(published: Path, tmp_path: Path) -> Path:
    """An image layout that holds the published version and its measurements."""
    (published / MEASUREMENTS_FILE).write_bytes(b"{}")
    oci.export(published, tmp_path / "layout")
    return tmp_path / "layout"


def test_an_exported_version_comes_back_with_every_byte(
    published: Path, layout: Path, tmp_path: Path
) -> None:
    other = Store(tmp_path / "other")
    folder = oci.import_(other, "m", layout)
    assert folder == other.resolve("m")
    assert (folder.name, read_files(folder)) == (published.name, read_files(published))
    assert oci.import_(other, "m", layout) == folder


def test_the_config_is_the_description_so_its_digest_is_the_version(
    published: Path, layout: Path
) -> None:
    (described,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    blob = layout / "blobs" / described["digest"].replace(":", "/")
    manifest = json.loads(blob.read_bytes())
    assert manifest["config"]["digest"] == f"sha256:{published.name}"
    assert manifest["annotations"]["org.opencontainers.image.licenses"] == "mit"


def test_skopeo_copies_an_artifact_without_changing_it(
    published: Path, layout: Path, tmp_path: Path
) -> None:
    skopeo = shutil.which("skopeo")
    if skopeo is None:
        pytest.skip("skopeo is not installed (Debian's package of that name)")
    copied, back = tmp_path / "copied", tmp_path / "back"
    names = (f"oci:{layout}:{published.name}", f"dir:{copied}", f"oci:{back}")
    for source, target in pairwise(names):
        command = [skopeo, "--insecure-policy", "copy", "--preserve-digests", source, target]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    folder = oci.import_(Store(tmp_path / "other"), "m", back)
    assert read_files(folder) == read_files(published)


def test_another_model_and_damaged_or_foreign_layouts_are_refused(
    published: Path, layout: Path, tmp_path: Path
) -> None:
    store = Store(tmp_path / "other")
    with pytest.raises(StoreError, match="holds m, not n"):
        oci.import_(store, "n", layout)
    blob = next(path for path in layout.glob("blobs/*/*") if b"selftest" in path.read_bytes()[:64])
    blob.unlink()
    blob.write_bytes(b"x" * 64)
    with pytest.raises(VerificationError, match=r"selftest\.npz has sha256"):
        oci.import_(store, "m", layout)
    (layout / "index.json").write_text(
        '{"manifests": [{"mediaType": "", "digest": "sha256:../x"}]}'
    )
    with pytest.raises(PackageError, match="only sha256 is read"):
        oci.import_(store, "m", layout)
    assert store.names() == []
