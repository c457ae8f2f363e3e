"""``python -m storage_init.store list|show|verify|sign|stats|gc STORE``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from storage_init.base import sizes
from storage_init.base.errors import SigningKeyError, WarmstartError
from storage_init.format import signing
from storage_init.format.reading import read_package
from storage_init.store import inventory
from storage_init.store.gc.collect import collect
from storage_init.store.gc.retention import Policy
from storage_init.store.layout import Store
from storage_init.store.output import documents
from storage_init.store.output.show import describe
from storage_init.store.output.stats import stats
from storage_init.store.signatures import sign_version
from storage_init.store.verification import verify_versions

if TYPE_CHECKING:
    from collections.abc import Sequence

FINE, PROBLEMS = 0, 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 if all is well, 1 if there are problems, 2 if it was not understood."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(Store(arguments.store.absolute()), arguments)
        # A pipe that was closed early is noticed here and not while the interpreter exits.
        sys.stdout.flush()
    except WarmstartError as error:
        print(error, file=sys.stderr)
        return PROBLEMS
    except BrokenPipeError:
        sys.stderr.close()
        return PROBLEMS
    except OSError as error:
        print(f"{arguments.store} cannot be worked on: {error}", file=sys.stderr)
        return PROBLEMS
    except KeyboardInterrupt:
        print("stopped; what was not removed yet is where it was", file=sys.stderr)
        return 130
    return code


def _list(store: Store, arguments: argparse.Namespace) -> int:
    inventory.open_store(store)
    versions, now = inventory.versions(store), time.time()
    if arguments.json:
        found = [documents.version_document(version, now) for version in versions]
        _print_json({"store": str(store.root), "versions": found})
    else:
        print(documents.list_table(versions, now))
    return FINE


def _show(store: Store, arguments: argparse.Namespace) -> int:
    inventory.open_store(store)
    name, version = arguments.model
    folder = store.resolve(name, version)
    package, _ = read_package(folder)
    survey = inventory.survey(store, name, folder.name)
    age = time.time() - survey.published
    if arguments.json:
        _print_json(
            {
                "store": str(store.root),
                "version": survey.version,
                "current": survey.current,
                "signed": survey.signed,
                "age_seconds": round(age, 3),
                "package": package,
            }
        )
    else:
        print(describe(package, survey, age))
    return FINE


def _verify(store: Store, arguments: argparse.Namespace) -> int:
    name, version = arguments.model or (None, None)
    found = []
    for verified in verify_versions(store, name, version, arguments.key or signing.verify_key()):
        found.append(verified)
        if not arguments.json:
            print(documents.verify_lines(verified), flush=True)
    lost = [
        f"current of {model} names {inventory.current_target(store, model)}, which is not there"
        for model in inventory.dangling_currents(store)
        if version is None and name in (None, model)
    ]
    if arguments.json:
        checked = [documents.verify_document(verified) for verified in found]
        _print_json({"store": str(store.root), "versions": checked, "problems": lost})
    else:
        for problem in lost:
            print(f"BROKEN  {problem}")
    return PROBLEMS if lost or any(verified.problems for verified in found) else FINE


def _sign(store: Store, arguments: argparse.Namespace) -> int:
    key = arguments.key or signing.sign_key()
    if key is None:
        raise SigningKeyError(f"name a private key with --key, or in {signing.SIGN_VARIABLE}")
    name, version = arguments.model
    folder = sign_version(store, name, version, key)
    if arguments.json:
        _print_json({"store": str(store.root), "model": name, "version": folder.name})
    else:
        print(f"signed  {name}@{folder.name}")
    return FINE


def _stats(store: Store, arguments: argparse.Namespace) -> int:
    found = stats(store, time.time())
    if arguments.json:
        _print_json(found)
    else:
        print(documents.stats_table(found))
    return FINE


def _gc(store: Store, arguments: argparse.Namespace) -> int:
    policy = Policy(keep=arguments.keep, min_age=arguments.min_age)
    outcomes = collect(store, policy, dry_run=arguments.dry_run)
    if arguments.json:
        _print_json({"store": str(store.root), "dry_run": arguments.dry_run, "outcomes": outcomes})
    else:
        print(documents.gc_table(outcomes, dry_run=arguments.dry_run))
    return PROBLEMS if any(outcome.action == "fail" for outcome in outcomes) else FINE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m storage_init.store", description="Look after a store of prepared models."
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("store", type=Path, metavar="STORE", help="the store's folder")
    common.add_argument("--json", action="store_true", help="print one JSON document")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, help_text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, parents=[common], help=help_text, description=help_text)
        added.set_defaults(run=run)
        return added

    command("list", _list, "every version with size, age and what is wrong with it at a glance")
    show = command("show", _show, "what a version's package.json says; of current by default")
    show.add_argument("model", type=_model, metavar="NAME[@VERSION]")
    verify = command("verify", _verify, "check every file of every version, or of those named")
    verify.add_argument("model", type=_model, metavar="NAME[@VERSION]", nargs="?")
    verify.add_argument(
        "--key",
        type=Path,
        metavar="FILE",
        help=f"the public key that each must be signed for, PEM ({signing.VERIFY_VARIABLE})",
    )
    sign = command("sign", _sign, "check every file of a version, then sign it")
    sign.add_argument("model", type=_model, metavar="NAME[@VERSION]")
    sign.add_argument(
        "--key", type=Path, metavar="FILE", help=f"private EC key, PEM ({signing.SIGN_VARIABLE})"
    )
    command("stats", _stats, "bytes, versions, hits and misses by model, orphaned staging")
    gc = command("gc", _gc, "remove old versions that nobody reads, and what was left behind")
    gc.add_argument("--keep", type=_count, default=2, metavar="N", help="newest versions to keep")
    gc.add_argument("--min-age", type=_age, default="1d", metavar="AGE", help="90s, 12h, 1d, …")
    gc.add_argument("--dry-run", action="store_true", help="only say what would be done, and why")
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


def _print_json(document: Any) -> None:
    print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


if __name__ == "__main__":
    sys.exit(main())
