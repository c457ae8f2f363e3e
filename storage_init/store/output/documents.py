"""The tables that the store's commands print, and the JSON of ``list``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storage_init.base.sizes import age, size, table
from storage_init.format.tasks import name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage_init.store.conversion.migrate import Migrated
    from storage_init.store.gc.collect import Outcome
    from storage_init.store.inventory import Version
    from storage_init.store.output.stats import StoreStats
    from storage_init.store.verification import Verified

NOTHING = "-"
# Tables show this many digits of a version or key; commands accept such a prefix.
SHORT = 12
MODEL_COLUMNS = ("model", "versions", "broken", "current", "size", "on disk", "hits", "misses")


def version_document(version: Version, now: float) -> dict[str, Any]:
    """Return one version of ``list --json``; fields of an unreadable ``package.json`` are null."""
    package = version.finding.package
    return {
        "model": version.model,
        "version": version.version,
        "current": version.current,
        "pins": list(version.pins),
        "task": name_of(package.task) if package else None,
        "variants": [variant.name for variant in package.variants] if package else None,
        "bytes": version.usage.bytes,
        "disk_bytes": version.usage.disk_bytes,
        "age_seconds": round(now - version.published, 3),
        "key": package.key if package else None,
        "signed": version.signed,
        "problems": version.finding.problems,
    }


def list_table(documents: Sequence[dict[str, Any]]) -> str:
    """Return a line for each version, ``*`` before the current ones, and the problems below."""
    header = ("", "model", "version", "task", "variants", "size", "age", "key", "signed")
    rows = [
        (
            "*" if version["current"] else "",
            version["model"],
            version["version"][:SHORT],
            "BROKEN" if version["problems"] else version["task"],
            ",".join(version["variants"] or [NOTHING]),
            size(version["bytes"]),
            age(version["age_seconds"]),
            (version["key"] or NOTHING)[:SHORT],
            "yes" if version["signed"] else "no",
        )
        for version in documents
    ]
    lines = [table(header, rows, right=("size", "age")) if rows else "no models"]
    problems = [
        f"{version['model']}@{version['version']}: {problem}"
        for version in documents
        for problem in version["problems"]
    ]
    return "\n".join([*lines, *([""] if problems else []), *problems])


def verify_lines(found: Verified) -> str:
    """Return a line for a version and one for each of its problems."""
    line = (
        f"{'ok' if found.ok else 'BROKEN':6}  {found.model}@{found.version}  {found.files} files  "
        f"{size(found.bytes)}  {found.seconds:.3f} s  {found.megabytes_per_second:.0f} MB/s"
    )
    return "\n".join([line, *(f"        {problem}" for problem in found.problems)])


def migration_line(found: Migrated) -> str:
    """Return a line for a version of format 2, and one for each service that still names it."""
    what = f"{found.model}@{found.version}"
    if found.problem:
        return f"left alone  {what}: {found.problem}"
    moved = ", ".join(found.moved) or "nothing more to move"
    lines = [f"migrated  {what} to {found.new} ({moved})"]
    lines += [f"          {owner} has pinned the old one: roll it out" for owner in found.pins]
    return "\n".join(lines)


def stats_table(stats: StoreStats) -> str:
    """Return the store's totals, a line for each model, and what needs attention."""
    lines = [
        f"{stats.store}: {len(stats.models)} models, {stats.versions} versions, "
        f"{size(stats.bytes)} ({size(stats.disk_bytes)} on disk)"
    ]
    rows = [
        (
            *(
                model.model,
                str(model.versions),
                str(model.broken),
                (model.current or NOTHING)[:SHORT],
            ),
            *(size(model.bytes), size(model.disk_bytes), str(model.hits), str(model.misses)),
        )
        for model in stats.models
    ]
    if rows:
        right = [name for name in MODEL_COLUMNS if name not in ("model", "current")]
        lines += ["", table(MODEL_COLUMNS, rows, right=right)]
    staging = [(item.name, size(item.bytes), age(item.age_seconds)) for item in stats.staging]
    if staging:
        lines += ["", table(("staging", "size", "age"), staging, right=("size", "age"))]
    lines += [f"\ncurrent of {name} names a missing version" for name in stats.dangling_currents]
    if stats.dangling_keys:
        lines.append(f"\n{stats.dangling_keys} keys of missing versions: gc removes them")
    return "\n".join(lines)


def gc_table(outcomes: Sequence[Outcome], *, dry_run: bool) -> str:
    """Return a line for each thing with its action, the reason and the freed bytes."""
    words = {"keep": "keep", "remove": "removed", "restore": "restored", "fail": "FAILED"}
    if dry_run:
        words |= {"remove": "would remove", "restore": "would restore"}
    rows = [
        (
            words[outcome.action],
            _short(outcome),
            NOTHING if outcome.age is None else age(outcome.age),
            size(outcome.freed) if outcome.freed else NOTHING,
            outcome.reason,
        )
        for outcome in outcomes
    ]
    header = ("action", "what", "age", "frees", "why")
    freed = size(sum(outcome.freed for outcome in outcomes if outcome.action == "remove"))
    total = f"{freed} {'would be freed' if dry_run else 'freed'}"
    return f"{table(header, rows, right=('age', 'frees'))}\n\n{total}" if rows else total


def _short(outcome: Outcome) -> str:
    if outcome.kind in ("version", "staging"):
        return outcome.name
    folder, _, key = outcome.name.rpartition("/")
    return f"{folder}/{key[:SHORT]}…"
