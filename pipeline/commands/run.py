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
from pipeline.commands.summary import summarize
from pipeline.preparation.progress import Display, Lines
from pipeline.preparation.quiet import quiet_libraries
from pipeline.preparation.runner import prepare
from storage_init import sources
from storage_init.base.errors import WarmstartError
from storage_init.base.sizes import table
from storage_init.format.package import Source
from storage_init.store.layout import Store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from pipeline.recipe.models import Model


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser("run", help="prepare models on this machine")
    add_source(parser)
    parser.add_argument(
        "--store",
        type=Path,
        default=os.environ.get("WARMSTART_STORE") or None,
        required=not os.environ.get("WARMSTART_STORE"),
        help="the store's folder (WARMSTART_STORE)",
    )
    add_choices(parser)
    parser.add_argument(
        "--eval-data",
        type=Path,
        metavar="FILE",
        help="JSONL or CSV to compare the variants on: text, and optionally text_pair and label",
    )
    parser.add_argument(
        "--fetched",
        nargs=2,
        metavar=("REVISION", "DIR"),
        help="a folder that holds the source's files at this revision already",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be done and needed; write nothing"
    )
    parser.set_defaults(command=lambda arguments: _run(parser, arguments))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    if arguments.fetched and arguments.models:
        parser.error("--fetched is for one model: give --source and --name, not --models")
    models = read_request(parser, arguments)
    work = _plan if arguments.dry_run else _prepare
    if arguments.models:
        return _run_each(models, lambda model: work(model, arguments))
    print(work(models[0], arguments))
    return 0


def _run_each(models: list[Model], work: Callable[[Model], str]) -> int:
    """Do ``work`` for each model; one that fails does not stop those after it."""
    rows: list[tuple[str, str, str]] = []
    for model in models:
        print(f"{model.name}: {model.source}", file=sys.stderr)
        try:
            rows.append((model.name, "done", work(model)))
        except WarmstartError as error:
            print(f"error: {error}", file=sys.stderr)
            rows.append((model.name, "failed", str(error)))
    print(table(("model", "state", "result"), rows, right=()))
    return int(any(state == "failed" for _, state, _ in rows))


def _plan(model: Model, arguments: argparse.Namespace) -> str:
    source, fetched = _resolve(model, arguments)
    store = Store(arguments.store.resolve())
    return str(plan(source, model.name, store, model.recipe, fetched, force=arguments.force))


def _prepare(model: Model, arguments: argparse.Namespace) -> str:
    source, fetched = _resolve(model, arguments)
    store = Store(arguments.store.resolve())
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


def _resolve(model: Model, arguments: argparse.Namespace) -> tuple[Source, Path | None]:
    """The source pinned to a revision, and the folder that holds its files already, if any."""
    if not arguments.fetched:
        return sources.resolve(model.source), None
    revision, folder = arguments.fetched
    return Source(uri=model.source, revision=revision), Path(folder)


def _choose_display() -> Display:
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
