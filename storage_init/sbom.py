"""``python -m storage_init.sbom FOLDER``: print a prepared model's bill of materials.

The format is CycloneDX 1.6 JSON; a model is a component of the type "machine-learning-model".
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from storage_init.base.errors import WarmstartError
from storage_init.format.reading import read_package

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage_init.format.package import Package


def bill_of_materials(package: Package, version: str) -> dict[str, Any]:
    """Return the bill: the model, its source, its tools, and each of its files with its digest."""
    source = package.source
    model: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": f"{package.name}@{version}",
        "name": package.name,
        "version": version,
        "externalReferences": [
            {"type": "distribution", "url": source.uri, "comment": f"revision {source.revision}"}
        ],
        "components": [
            {
                "type": "file",
                "name": entry.path,
                "hashes": [{"alg": "SHA-256", "content": entry.sha256}],
            }
            for entry in package.files
        ],
    }
    if source.license:
        model["licenses"] = [{"license": {"name": source.license}}]
    tools = [
        {"type": "application", "name": name, "version": version}
        for name, version in sorted(package.tools.items())
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"tools": {"components": tools}, "component": model},
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print the bill of a folder; return 1 if the folder holds no prepared model."""
    (folder,) = sys.argv[1:] if argv is None else argv
    try:
        package, version = read_package(Path(folder))
    except WarmstartError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(msgspec.json.format(msgspec.json.encode(bill_of_materials(package, version))).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
