"""``python -m storage_init.store COMMAND STORE``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from storage_init.base import sizes
from storage_init.base.errors import SigningKeyError, StoreError, WarmstartError
from storage_init.base.files import share_with_group
from storage_init.base.variables import SIGN_KEY, VERIFY_KEY
from storage_init.format import measurements
from storage_init.format.reading import read_description, read_package
from storage_init.store import inventory
from storage_init.store.conversion import oci
from storage_init.store.conversion.migrate import migrate
from storage_init.store.gc.collect import collect
from storage_init.store.gc.retention import Policy
from storage_init.store.layout import Store
from storage_init.store.output import documents
from storage_init.store.output.show import describe
from storage_init.store.output.stats import stats
from storage_init.store.verification import sign_version, verify_versions

if TYPE_CHECKING:
    from collections.abc import Sequence

FINE, PROBLEMS = 0, 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return 0 if all is well, 1 for problems; exit with 2 for wrong arguments."""
    arguments = _parser().parse_args(argv)
    try:
        store = _open_store(arguments.store.absolute())
        code: int = arguments.run(store, arguments)
        # Flush now, so that a closed pipe is an error here and not while the interpreter exits.
        sys.stdout.flush()
    except WarmstartError as error:
        print(error, file=sys.stderr)
        return PROBLEMS
    except BrokenPipeError:
        sys.stderr.close()
        return PROBLEMS
    except OSError as error:
        print(f"{arguments.store}: {error}", file=sys.stderr)
        return PROBLEMS
    except KeyboardInterrupt:
        print("stopped; what was not removed yet is in its place", file=sys.stderr)
        return 130
    return code


def _open_store(root: Path) -> Store:
    """Return the store at ``root``; refuse a path that is not a readable folder."""
    try:
        os.scandir(root).close()
    except OSError as error:
        raise StoreError(f"{root} is not a store: {error.strerror}") from error
    share_with_group(root)
    return Store(root)


def _list(store: Store, arguments: argparse.Namespace) -> int:
    now = time.time()
    found = [documents.version_document(version, now) for version in inventory.versions(store)]
    document = {"store": str(store.root), "versions": found}
    _print(arguments, document, documents.list_table(found))
    return FINE


def _show(store: Store, arguments: argparse.Namespace) -> int:
    name, typed = arguments.model
    folder = store.resolve(name, store.complete(name, typed))
    package, digest = read_package(folder)
    measured = measurements.read(folder, package, digest)
    survey = inventory.survey(store, name, folder.name)
    age = time.time() - survey.published
    document = {
        "store": str(store.root),
        "version": survey.version,
        "current": survey.current,
        "signed": survey.signed,
        "age_seconds": round(age, 3),
        "package": msgspec.Raw(read_description(folder)),
        "measurements": measured,
    }
    _print(arguments, document, describe(package, measured, survey, age))
    return FINE


def _verify(store: Store, arguments: argparse.Namespace) -> int:
    name, version = arguments.model or (None, None)
    version = name and store.complete(name, version)
    found = []
    for verified in verify_versions(store, name, version, arguments.key or VERIFY_KEY.read()):
        found.append(verified)
        if not arguments.json:
            print(documents.verify_lines(verified), flush=True)
    lost = [
        f"current of {model} names {inventory.current_target(store, model)}, which does not exist"
        for model in inventory.dangling_currents(store)
        if version is None and name in (None, model)
    ]
    document = {"store": str(store.root), "versions": found, "problems": lost}
    _print(arguments, document, *(f"BROKEN  {problem}" for problem in lost))
    return FINE if not lost and all(verified.ok for verified in found) else PROBLEMS


def _sign(store: Store, arguments: argparse.Namespace) -> int:
    key = arguments.key or SIGN_KEY.read()
    if key is None:
        raise SigningKeyError(f"name a private key with --key, or in {SIGN_KEY.name}")
    name, typed = arguments.model
    folder = sign_version(store, name, store.complete(name, typed), key)
    document = {"store": str(store.root), "model": name, "version": folder.name}
    _print(arguments, document, f"signed  {name}@{folder.name}")
    return FINE


def _stats(store: Store, arguments: argparse.Namespace) -> int:
    found = stats(store, time.time())
    _print(arguments, found, documents.stats_table(found))
    return FINE


def _gc(store: Store, arguments: argparse.Namespace) -> int:
    policy = Policy(keep=arguments.keep, min_age=arguments.min_age)
    outcomes = collect(store, policy, dry_run=arguments.dry_run)
    document = {"store": str(store.root), "dry_run": arguments.dry_run, "outcomes": outcomes}
    _print(arguments, document, documents.gc_table(outcomes, dry_run=arguments.dry_run))
    return PROBLEMS if any(outcome.action == "fail" for outcome in outcomes) else FINE


def _migrate(store: Store, arguments: argparse.Namespace) -> int:
    found = []
    for migrated in migrate(store, arguments.key or SIGN_KEY.read()):
        found.append(migrated)
        if not arguments.json:
            print(documents.migration_line(migrated), flush=True)
    _print(arguments, {"store": str(store.root), "versions": found})
    return PROBLEMS if any(migrated.problem for migrated in found) else FINE


def _export(store: Store, arguments: argparse.Namespace) -> int:
    name, typed = arguments.model
    folder = store.resolve(name, store.complete(name, typed))
    digest = oci.export(folder, arguments.layout)
    document = {"model": name, "version": folder.name, "manifest": digest}
    _print(arguments, document, f"exported  {name}@{folder.name} to {arguments.layout} as {digest}")
    return FINE


def _import(store: Store, arguments: argparse.Namespace) -> int:
    name, _ = arguments.model
    folder = oci.import_(store, name, arguments.layout)
    document = {"model": name, "version": folder.name}
    _print(arguments, document, f"imported  {name}@{folder.name}")
    return FINE


def _print(arguments: argparse.Namespace, document: Any, *lines: str) -> None:
    """Print the document with ``--json``, else the lines."""
    if arguments.json:
        lines = (msgspec.json.format(msgspec.json.encode(document), indent=2).decode(),)
    for line in lines:
        print(line)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m storage_init.store", description="Manage a store of prepared models."
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("store", type=Path, metavar="STORE", help="the store's folder")
    common.add_argument("--json", action="store_true", help="print one JSON document")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, help_text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, parents=[common], help=help_text, description=help_text)
        added.set_defaults(run=run)
        return added

    model: Any = {"type": _model, "metavar": "NAME[@VERSION]"}
    key: Any = {"type": Path, "metavar": "FILE"}
    command("list", _list, "list all versions with size, age and problems found without hashing")
    show = command("show", _show, "show a version's package.json; by default that of current")
    show.add_argument("model", **model)
    verify = command("verify", _verify, "check every file of all versions, or of one model's")
    verify.add_argument("model", **model, nargs="?")
    public = f"PEM file of the public key that each must verify with ({VERIFY_KEY.name})"
    verify.add_argument("--key", **key, help=public)
    sign = command("sign", _sign, "check every file of a version, then sign it")
    sign.add_argument("model", **model)
    sign.add_argument("--key", **key, help=f"private EC key, PEM ({SIGN_KEY.name})")
    migration = "turn versions of format 2 into format 3, while pods read them; deletes nothing"
    migrating = command("migrate", _migrate, migration)
    migrating.add_argument("--key", **key, help=f"private EC key to sign with ({SIGN_KEY.name})")
    exporting = command("export-oci", _export, "write a version as an OCI artifact")
    importing = command("import-oci", _import, "add the version of an OCI image layout")
    for moving in (exporting, importing):
        moving.add_argument("model", **model)
        moving.add_argument("layout", type=Path, metavar="LAYOUT", help="folder of an image layout")
    command("stats", _stats, "count bytes, versions, hits and misses by model, and leftovers")
    gc = command("gc", _gc, "remove leftovers and old versions that nobody reads")
    gc.add_argument("--keep", type=_count, default=2, metavar="N", help="newest versions to keep")
    gc.add_argument("--min-age", type=_age, default="1d", metavar="AGE", help="90s, 12h, 1d, …")
    gc.add_argument("--dry-run", action="store_true", help="say what would be done, and why")
    return parser


def _model(argument: str) -> tuple[str, str | None]:
    name, separator, version = argument.partition("@")
    if not name or (separator and not version):
        raise argparse.ArgumentTypeError(f"{argument!r} is not NAME or NAME@VERSION")
    return name, version or None


def _count(argument: str) -> int:
    if not argument.isdecimal():
        raise argparse.ArgumentTypeError(f"{argument!r} is not a number of versions")
    return int(argument)


def _age(argument: str) -> float:
    try:
        return sizes.parse_age(argument)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
