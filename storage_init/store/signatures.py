"""Signing a version that is in a store, and the problems with its signature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage_init.base.errors import PackageError, SignatureError, StoreError, VerificationError
from storage_init.base.files import fsync
from storage_init.format.package import SIGNATURE_FILE, version_of
from storage_init.format.reading import read_description
from storage_init.format.signing import check_signature, sign
from storage_init.format.verify import verify
from storage_init.store.layout import holds, readable_errors
from storage_init.store.publish import FILE_MODE

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.store.layout import Store


def sign_version(store: Store, model: str, version: str | None, key: Path) -> Path:
    """Sign a version, by default ``current``, and return its folder.

    Every file is verified first, so that a signature never vouches for a broken version. An older
    signature is replaced. The version keeps its name, because ``package.sig`` is not part of it.

    Raises:
        StoreError: there is no such version, or the store cannot be written.
        PackageError, VerificationError: the version is broken; the message names every file.
        SigningKeyError: the key cannot be used.
    """
    folder = store.resolve(model, version)
    with readable_errors(store), store.staging("sign") as staged:
        sign(folder, key, staged / SIGNATURE_FILE)
        package = verify(folder)
        if not holds(model, package.name) or version_of(read_description(folder)) != folder.name:
            raise StoreError(f"{folder} holds another package than {model}@{folder.name}")
        (staged / SIGNATURE_FILE).chmod(FILE_MODE)
        fsync(staged / SIGNATURE_FILE)
        (staged / SIGNATURE_FILE).replace(folder / SIGNATURE_FILE)
        fsync(folder)
    return folder


def signature_problems(folder: Path, key: Path | None) -> list[str]:
    """Return the problems with a version's signature; none without a key to verify it with.

    Raises:
        SigningKeyError: the key cannot be used.
    """
    try:
        check_signature(folder, key)
    except SignatureError as error:
        return [error.problem]
    except (PackageError, VerificationError):
        # The description is broken: the check of the files has named it.
        return ["its signature cannot be checked"]
    return []
