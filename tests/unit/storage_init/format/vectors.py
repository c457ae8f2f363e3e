"""``python -m tests.unit.storage_init.format.vectors``: write the test vectors of the format.

A case names the case that it starts from, and the files that it changes: their text, or null for
a file that is removed. The case ``format-2`` was written by the last release with that format, so
it is kept as it is.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage_init.format import codec
from tests.unit.storage_init.fakes import FILES, entries_of, fake_package

if TYPE_CHECKING:
    from collections.abc import Callable

VECTORS = Path(__file__).parents[3] / "vectors" / "package-format.json"
DESCRIPTION, SUMS = "package.json", "SHA256SUMS"
OTHER = "x" * 64
# The version of the case "format-2".
OLD_VERSION = "05fa8b98a95437be"

Document = dict[str, Any]
Files = dict[str, str | None]


def read() -> list[Document]:
    """Return the cases as they are in the repository."""
    cases: list[Document] = json.loads(VECTORS.read_text("utf-8"))["cases"]
    return cases


def files_of(name: str) -> dict[str, str]:
    """Return all files of a case by their paths."""
    (case,) = (case for case in read() if case["name"] == name)
    start = files_of(case["from"]) if "from" in case else {}
    return {path: text for path, text in (start | case["files"]).items() if text is not None}


def _good() -> dict[str, str]:
    files = {path: content.decode() for path, content in FILES.items()}
    return files | _described(json.loads(codec.encode(fake_package(entries_of(FILES)))))


def _described(document: Document) -> dict[str, str]:
    """Return a description, and the sums that belong to it."""
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return {DESCRIPTION: text, SUMS: _sums(text, document)}


def _sums(text: str, document: Document) -> str:
    files = sorted(document.get("files", []), key=lambda file: str(file["path"]))
    entries = [(file["sha256"], file["path"]) for file in files]
    lines = [(_version(text), DESCRIPTION), *entries]
    return "".join(f"{digest}  {path}\n" for digest, path in lines)


def _version(description: str) -> str:
    return hashlib.sha256(description.encode()).hexdigest()


def _changed(change: Callable[[Document], object]) -> Files:
    document = json.loads(_good()[DESCRIPTION])
    change(document)
    return {**_described(document)}


def _cases() -> list[Document]:
    good = _good()
    old = next(case for case in read() if case["name"] == "format-2")
    measured = {"package": _version(good[DESCRIPTION])}
    ok: dict[str, Files] = {
        "with-measurements": {"measurements.json": json.dumps(measured), "report.html": "<p>"},
        "with-damaged-measurements": {"measurements.json": "{"},
        "with-unknown-fields": _changed(
            lambda d: (d.update(later={"a": 1}), d["variants"][0].update(later=[1]))
        ),
        "with-annotations": _changed(
            lambda d: d.update(annotations={"org.opencontainers.image.vendor": "Äcme"})
        ),
    }
    extra = {"path": "../x", "size": 1, "sha256": "0" * 64}
    bad: dict[str, tuple[Files, str]] = {
        "format-version-of-the-future": (_changed(lambda d: d.update(format_version=4)), "4"),
        "no-format-version": (_changed(lambda d: d.pop("format_version")), "format_version"),
        "unknown-reader-feature": (
            _changed(lambda d: d.update(reader_features=["sparse-weights"])),
            "sparse-weights",
        ),
        "not-json": ({DESCRIPTION: "{", SUMS: _sums("{", {})}, DESCRIPTION),
        "missing-field": (_changed(lambda d: d.pop("limits")), "limits"),
        "wrong-type": (_changed(lambda d: d.update(pad_token_id="0")), "pad_token_id"),
        "unknown-task": (_changed(lambda d: d["task"].update(name="text-generation")), "task"),
        "annotation-not-a-text": (_changed(lambda d: d.update(annotations={"a": 1})), "annot"),
        "no-variants": (_changed(lambda d: d.update(variants=[])), "variants"),
        "variant-listed-twice": (
            _changed(lambda d: d["variants"].append(d["variants"][0])),
            "variant is listed twice",
        ),
        "file-listed-twice": (
            _changed(lambda d: d["files"].append(d["files"][0])),
            "file is listed twice",
        ),
        "path-that-leaves-the-folder": (_changed(lambda d: d["files"].append(extra)), "path"),
        "digest-in-capitals": (
            _changed(lambda d: d["files"][0].update(sha256="B" * 64)),
            "sha256",
        ),
        "needed-file-not-listed": (
            _changed(lambda d: d["files"].pop()),
            "tokenizer.json is needed but not listed",
        ),
        "lists-its-own-description": (
            _changed(lambda d: d["files"].append({**extra, "path": DESCRIPTION})),
            f"{DESCRIPTION} cannot be listed",
        ),
        "lists-its-measurements": (
            _changed(lambda d: d["files"].append({**extra, "path": "measurements.json"})),
            "measurements.json cannot be listed",
        ),
        "no-description": ({DESCRIPTION: None}, DESCRIPTION),
        "no-sums": ({SUMS: None}, SUMS),
        "sums-of-another-description": ({SUMS: OTHER}, SUMS),
        "sums-without-a-file": ({SUMS: "".join(good[SUMS].splitlines(True)[:-1])}, SUMS),
        "description-changed": ({DESCRIPTION: good[DESCRIPTION] + " "}, DESCRIPTION),
        "file-missing": ({"int8/model.onnx": None}, "int8/model.onnx is missing"),
        "file-too-short": ({"int8/model.onnx": "x"}, "int8/model.onnx has 1 bytes"),
        "file-changed": ({"int8/model.onnx": OTHER}, "int8/model.onnx has sha256"),
        "file-not-listed": ({"int8/run.py": "x"}, "int8/run.py is not listed"),
    }
    changed = [
        *(
            {
                "name": name,
                "verdict": "good",
                "version": _version(files.get(DESCRIPTION) or good[DESCRIPTION]),
                "files": files,
            }
            for name, files in ok.items()
        ),
        *(
            {"name": name, "verdict": "bad", "named": named, "files": files}
            for name, (files, named) in bad.items()
        ),
    ]
    return [
        {
            "name": "format-3",
            "verdict": "good",
            "version": _version(good[DESCRIPTION]),
            "files": good,
        },
        old,
        *({"from": "format-3", **case} for case in changed),
    ]


def content() -> str:
    """Return the content of the file with all vectors."""
    about = (
        "Write each case's files (those of the case `from` first; null removes a file) to a folder "
        "and verify the folder. A reader accepts good ones as their `version`, and refuses bad "
        "ones with an error that names `named`. docs/package-format.md is the specification."
    )
    document = {"about": about, "cases": _cases()}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    VECTORS.write_text(content(), "utf-8")
