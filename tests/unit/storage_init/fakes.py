"""Small prepared models without torch: only the contents of their files are fake."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from storage_init.base.files import list_files
from storage_init.format.package import (
    BatchSensitivity,
    Closeness,
    FileEntry,
    Limits,
    Package,
    Requires,
    Source,
    Tensor,
    Variant,
)
from storage_init.format.tasks import TextClassification
from storage_init.store.publish import publish

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from storage_init.store.layout import Store

NAME = "m"
KEY = "a" * 64
# All files have one size, so that only their digests differ.
FILES = {
    path: f"{path:64}".encode()
    for path in (
        "fp32/model.onnx",
        "fp32/model.onnx.data",
        "int8/model.onnx",
        "int8/model.onnx.data",
        "evidence.json",
        "selftest.npz",
        "tokenizer.json",
    )
}


def fake_package(files: list[FileEntry], *, name: str = NAME, key: str = KEY) -> Package:
    """Return a package of two variants over ``files``."""
    return Package(
        name=name,
        key=key,
        task=TextClassification(labels=["negative", "positive"], activation="softmax"),
        source=Source(uri="hf://owner/model", revision="c" * 40, license="mit"),
        recipe_digest="d" * 64,
        tools={"torch": "2.13.0", "onnxruntime": "1.23.0"},
        limits=Limits(max_length=64),
        pad_token_id=0,
        inputs=[Tensor(name="input_ids", datatype="INT64", shape=[-1, -1])],
        outputs=[Tensor(name="logits", datatype="FP32", shape=[-1, 2])],
        variants=[
            _variant("fp32", Requires()),
            _variant("int8", Requires(cpu_any_of=["avx512_vnni"])),
        ],
        files=files,
    )


def entries() -> list[FileEntry]:
    """Return the entries of ``FILES``, with digests that are only well-formed."""
    return [FileEntry(path=path, size=len(FILES[path]), sha256="b" * 64) for path in sorted(FILES)]


def entries_of(files: Mapping[str, bytes]) -> list[FileEntry]:
    """Return the entries of these files with their digests."""
    return [
        FileEntry(path=path, size=len(content), sha256=hashlib.sha256(content).hexdigest())
        for path, content in sorted(files.items())
    ]


def with_weights(weights: bytes) -> dict[str, bytes]:
    """Return ``FILES`` with other weights, which make another version."""
    return {**FILES, "fp32/model.onnx.data": weights}


def write_files(folder: Path, files: Mapping[str, bytes] = FILES) -> Path:
    """Write files below a folder and return it."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def read_files(folder: Path) -> dict[str, bytes]:
    """All files below a folder by their paths, as ``write_files`` takes them."""
    return {path: (folder / path).read_bytes() for path in list_files(folder)}


def publish_fake(
    store: Store, files: Mapping[str, bytes] = FILES, *, name: str = NAME, key: str = KEY
) -> Path:
    """Publish a fake package and return the folder of its version."""
    with store.staging() as staged:
        write_files(staged, files)
        return publish(store, staged, lambda listed: fake_package(listed, name=name, key=key))


def _variant(name: str, requires: Requires) -> Variant:
    return Variant(
        name=name,
        graph=f"{name}/model.onnx",
        requires=requires,
        closeness=Closeness(texts=8, worst_logit_difference=0.01, label_agreement=1.0),
        batch_sensitivity=BatchSensitivity(largest_move=0.0),
        tolerance=0.05,
    )
