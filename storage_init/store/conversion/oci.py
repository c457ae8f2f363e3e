"""A version as an OCI artifact, in an OCI image layout that skopeo, oras and crane can push.

The manifest's config is ``package.json``, so the digest of the config is the version. Each file is
a layer: its bytes as they are, with its path in the annotation ``org.opencontainers.image.title``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from storage_init.base.errors import PackageError, StoreError
from storage_init.base.files import link_file
from storage_init.base.hashing import sha256_file
from storage_init.format import codec, signing
from storage_init.format.package import MAX_PACKAGE_BYTES, PACKAGE_FILE
from storage_init.format.reading import describe, listed, read_file
from storage_init.format.verify import verify
from storage_init.store.layout import Store, holds, readable_errors, swap_link
from storage_init.store.publish import adopt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from storage_init.format.package import Package

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE = "application/vnd.warmstart.package.v3+json"
FILE_TYPE = "application/vnd.warmstart.file.v3"
TITLE = "org.opencontainers.image.title"
TAG = "org.opencontainers.image.ref.name"


class _Descriptor(msgspec.Struct, rename="camel"):
    media_type: str
    digest: str
    annotations: dict[str, str] = {}


class _Manifest(msgspec.Struct):
    config: _Descriptor
    layers: list[_Descriptor]


class _Index(msgspec.Struct):
    manifests: list[_Descriptor]


def export(version: Path, layout: Path) -> str:
    """Add a version to an image layout, tagged with its version; return the manifest's digest.

    Raises:
        PackageError, VerificationError: the version cannot be read.
        OSError: the layout cannot be written.
    """
    package, content = describe(version)
    (layout / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    known = {entry.path: entry.sha256 for entry in package.files}
    layers = []
    for path in listed(version):
        digest = known.get(path) or sha256_file(version / path)
        blob = layout / "blobs" / "sha256" / digest
        if not blob.exists():
            link_file(version / path, blob)
        layers.append(_descriptor(FILE_TYPE, digest, blob.stat().st_size, {TITLE: path}))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": CONFIG_TYPE,
        "config": _descriptor(CONFIG_TYPE, codec.digest(content), len(content)),
        "layers": layers,
        "annotations": _annotations(package),
    }
    encoded = msgspec.json.encode(manifest)
    digest = codec.digest(encoded)
    (layout / "blobs" / "sha256" / digest).write_bytes(encoded)
    tag = {TAG: codec.version_of(content)}
    manifests = [_descriptor(MANIFEST_TYPE, digest, len(encoded), tag)]
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}
    (layout / "index.json").write_bytes(msgspec.json.encode(index))
    (layout / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
    return f"sha256:{digest}"


def import_(store: Store, name: str, layout: Path) -> Path:
    """Put the version of an image layout among a model's versions, and return its folder.

    It becomes ``current`` if the model has none. Its name must be the one that it is stored under.

    Raises:
        PackageError: the layout does not hold one prepared model.
        VerificationError, SignatureError: its files are damaged, or not signed as required.
        StoreError: it is another model, or the store cannot be written.
    """
    found = _read(layout / "index.json", _Index).manifests
    if len(found) != 1:
        raise PackageError(f"{layout} holds {len(found)} manifests: copy one to its own layout")
    manifest = _read(_blob(layout, found[0]), _Manifest)
    if manifest.config.media_type != CONFIG_TYPE:
        raise PackageError(f"{layout} holds {manifest.config.media_type}, not {CONFIG_TYPE}")
    content = read_file(_blob(layout, manifest.config), MAX_PACKAGE_BYTES)
    package = codec.decode(content, f"{layout}: {PACKAGE_FILE}")
    if not holds(name, package.name):
        raise StoreError(f"{layout} holds {package.name}, not {name}")
    layers = {layer.annotations.get(TITLE): layer for layer in manifest.layers}
    with readable_errors(store), store.staging("import") as staged:
        for path in package.members:
            if layer := layers.get(path):
                (staged / path).parent.mkdir(parents=True, exist_ok=True)
                link_file(_blob(layout, layer), staged / path)
        verify(staged)
        signing.admit(staged, str(layout), package)
        folder = adopt(store, staged, name)
        if store.current(name) is None:
            swap_link(store, store.model_folder(name) / "current", f"versions/{folder.name}")
    return folder


def _annotations(package: Package) -> dict[str, str]:
    own = {
        TITLE: package.name,
        "org.opencontainers.image.source": package.source.uri,
        "org.opencontainers.image.revision": package.source.revision,
    }
    if package.source.license:
        own["org.opencontainers.image.licenses"] = package.source.license
    return own | package.annotations


def _descriptor(
    media_type: str, digest: str, size: int, annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    described = {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}
    return described | ({"annotations": annotations} if annotations else {})


def _blob(layout: Path, described: _Descriptor) -> Path:
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", described.digest):
        raise PackageError(f"{layout} names a blob {described.digest!r}: only sha256 is read")
    return layout / "blobs" / described.digest.replace(":", "/")


def _read(path: Path, kind: Any) -> Any:
    try:
        return msgspec.json.decode(read_file(path, MAX_PACKAGE_BYTES), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise PackageError(f"{path} is not of an OCI image layout: {error}") from error
