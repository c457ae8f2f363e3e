"""What a model must prove before anything of it is parsed: an expected digest, a signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_init.base.errors import DigestError
from storage_init.base.variables import VERIFICATION_DIGEST
from storage_init.format import signing
from storage_init.format.reading import is_package, read_package

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.format.package import Package


@dataclass(frozen=True)
class Admission:
    """The conditions of one fetch; the keys of signatures are in the environment.

    ``digest``: the hex SHA-256 of the ``package.json``, or None for any.
    """

    digest: str | None = None

    def read(self, folder: Path) -> tuple[Package, str]:
        """Read an admitted package; return it and its version.

        Raises:
            DigestError, SignatureError, SigningKeyError: it is refused.
            PackageError, VerificationError: as :func:`storage_init.format.reading.read_package`.
        """
        package, version = read_package(folder, self.digest)
        signing.admit(folder, package=package)
        return package, version

    def admit(self, folder: Path, where: str) -> None:
        """Refuse what does not meet the conditions; ``where`` names the folder in errors."""
        self._check_digest(folder, where)
        signing.admit(folder, where)

    def admit_source(self, folder: Path, where: str) -> None:
        """Like :meth:`admit`, but also accept a raw model that will be signed here."""
        self._check_digest(folder, where)
        signing.admit_source(folder, where)

    def _check_digest(self, folder: Path, where: str) -> None:
        if self.digest is None:
            return
        if not is_package(folder):
            raise DigestError(
                f"{where} is refused: it is not a prepared model, so {VERIFICATION_DIGEST.name} "
                f"has nothing to be compared with. Expected digest sha256:{self.digest}: of a "
                "prepared model's package.json, or of the one file that an https:// URL names"
            )
        try:
            read_package(folder, self.digest)
        except DigestError as error:
            raise DigestError(str(error).replace(str(folder), where)) from error


ANY = Admission()
