"""``python -m pipeline run``: prepares one model, or a list of them, in this process."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.plan import plan
from pipeline.commands.request import add_choices, add_source, read_request
from pipeline.evaluation.closeness import describe
from pipeline.preparation.process import quiet_libraries
from pipeline.preparation.progress import Lines
from pipeline.preparation.runner import prepare
from storage_init import sources
from storage_init.base.errors import WarmstartError
from storage_init.base.files import share_with_group
from storage_init.base.sizes import size, table
from storage_init.base.uris import shown
from storage_init.format import measurements
from storage_init.format.package import Source
from storage_init.format.reading import read_package
from storage_init.store.layout import Store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from pipeline.recipe.models import Model
    from pipeline.workspace.records import StepRecord
    from storage_init.format.measurements import Speed


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser("run", help="prepare models on this machine")
    add_source(parser)
    flag, store = parser.add_argument, os.environ.get("WARMSTART_STORE") or None
    about = "the store's folder (WARMSTART_STORE)"
    flag("--store", type=Path, default=store, required=not store, help=about)
    add_choices(parser)
    about = "JSONL or CSV to compare the variants on: text, and optionally text_pair and label"
    flag("--eval-data", type=Path, metavar="FILE", help=about)
    about = "a folder that holds the source's files at this revision already"
    flag("--fetched", nargs=2, metavar=("REVISION", "DIR"), help=about)
    about = "say what would be done and needed; write nothing"
    flag("--dry-run", action="store_true", help=about)
    parser.set_defaults(command=lambda arguments: _run(parser, arguments))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    if arguments.fetched and arguments.models:
        parser.error("--fetched is for one model: give --source and --name, not --models")
    models = read_request(parser, arguments)
    if arguments.models:
        return _run_each(models, arguments)
    print(_work(models[0], arguments))
    return 0


def _run_each(models: list[Model], arguments: argparse.Namespace) -> int:
    """Prepare each model; one that fails does not stop those after it."""
    rows: list[tuple[str, str, str]] = []
    for model in models:
        print(f"{model.name}: {shown(model.source)}", file=sys.stderr)
        try:
            rows.append((model.name, "done", _work(model, arguments)))
        except WarmstartError as error:
            print(f"error: {error}", file=sys.stderr)
            rows.append((model.name, "failed", str(error)))
    print(table(("model", "state", "result"), rows, right=()))
    return int(any(state == "failed" for _, state, _ in rows))


def _work(model: Model, arguments: argparse.Namespace) -> str:
    """Prepare a model, or plan it, and return the version's folder or the plan."""
    store, fetched = Store(arguments.store.resolve()), None
    share_with_group(store.root)
    if arguments.fetched:
        revision, folder = arguments.fetched
        source, fetched = Source(uri=model.source, revision=revision), Path(folder)
    else:
        source = sources.resolve(model.source)
    if arguments.dry_run:
        return str(plan(source, model.name, store, model.recipe, fetched, force=arguments.force))
    display = _choose_display()
    with closing(display), _sigterm_as_ctrl_c(), quiet_libraries():
        prepared = prepare(
            *(source, model.name, store, model.recipe, display),
            fetched=fetched,
            force=arguments.force,
            spare_memory=True,
        )
    print(f"\n{summarize(prepared.folder, prepared.steps)}\n", file=sys.stderr)
    return str(prepared.folder)


def _choose_display() -> Lines:
    """Bars on a terminal where tqdm is installed, plain lines elsewhere."""
    if sys.stderr.isatty() and find_spec("tqdm"):
        from pipeline.commands.display import Bars

        return Bars(sys.stderr)
    return Lines(sys.stderr)


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does, so that the next run continues where it ended."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def summarize(folder: Path, steps: Sequence[StepRecord] = ()) -> str:
    """Return two tables, the version's variants and the steps of the run, and the version's name.

    Raises:
        PackageError: the description in ``folder`` cannot be read.
    """
    package, version = read_package(folder)
    measured = measurements.read(folder, package, version)
    variants = [
        (
            variant.name,
            size(sum(entry.size for entry in package.files if variant.owns(entry.path))),
            *_milliseconds(measured.speed(variant.name)),
            f"{describe(variant.closeness)} of {variant.closeness.texts} texts",
        )
        for variant in package.variants
    ]
    header = ("variant", "size", "one text", "in a batch", "closeness to the original")
    parts = [table(header, variants, right=header[1:4])]
    if steps:
        rows = [(done.step, f"{done.seconds:.1f} s", size(done.peak_bytes)) for done in steps]
        parts.append(table(("step", "time", "peak memory"), rows, right=("time", "peak memory")))
    revision = package.source.revision[:12]
    parts.append(f"{package.name}, version {version} of {shown(package.source.uri)} at {revision}")
    return "\n\n".join(parts)


def _milliseconds(speed: Speed | None) -> tuple[str, str]:
    if speed is None:
        return "-", "-"
    return f"{speed.alone_ms:.2f} ms", f"{speed.batched_ms:.2f} ms"
