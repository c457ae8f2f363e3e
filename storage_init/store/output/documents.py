"""What the commands print with ``--json``, and the tables they print without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from storage_init.base import sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage_init.format.package import Package
    from storage_init.store.gc.collect import Outcome
    from storage_init.store.inventory import Version
    from storage_init.store.output.stats import StoreStats
    from storage_init.store.verification import Verified

NOTHING = "-"


def version_document(version: Version, now: float) -> dict[str, Any]:
    """One version of ``list --json``; what its description would say is null if there is none."""
    package = version.finding.package
    return {
        "model": version.model,
        "version": version.version,
        "current": version.current,
        "task": _task(package) if package else None,
        "variants": [variant.name for variant in package.variants] if package else None,
        "bytes": version.usage.bytes,
        "disk_bytes": version.usage.disk_bytes,
        "age_seconds": round(now - version.published, 3),
        "key": package.key if package else None,
        "signed": version.signed,
        "problems": version.finding.problems,
    }


def list_table(versions: Sequence[Version], now: float) -> str:
    """One line a version, ``*`` before what is current, problems below."""
    header = ("", "model", "version", "task", "variants", "size", "age", "key", "signed")
    rows = [_list_row(version, now) for version in versions]
    table = sizes.table(header, rows, right=("size", "age")) if rows else "no models"
    broken = [version for version in versions if not version.whole]
    problems = [f"{v.label}: {problem}" for v in broken for problem in v.finding.problems]
    return "\n".join([table, *([""] if problems else []), *problems])


def _list_row(version: Version, now: float) -> tuple[str, ...]:
    package = version.finding.package
    return (
        "*" if version.current else "",
        version.model,
        version.version,
        _task(package) if package and version.whole else "BROKEN",
        ",".join(variant.name for variant in package.variants) if package else NOTHING,
        sizes.size(version.usage.bytes),
        sizes.age(now - version.published),
        package.key[:12] if package else NOTHING,
        "yes" if version.signed else "no",
    )


def _task(package: Package) -> str:
    return str(msgspec.to_builtins(package.task)["name"])


def verify_document(found: Verified) -> dict[str, Any]:
    """One version of ``verify --json``."""
    return {
        "model": found.model,
        "version": found.version,
        "ok": not found.problems,
        "files": found.files,
        "bytes": found.bytes,
        "seconds": round(found.seconds, 6),
        "megabytes_per_second": round(found.megabytes_per_second, 1),
        "problems": found.problems,
    }


def verify_lines(found: Verified) -> str:
    """One line a version, and one more for each problem."""
    line = (
        f"{'BROKEN' if found.problems else 'ok':6}  {found.model}@{found.version}  "
        f"{found.files} files  {sizes.size(found.bytes)}  {found.seconds:.3f} s  "
        f"{found.megabytes_per_second:.0f} MB/s"
    )
    return "\n".join([line, *(f"        {problem}" for problem in found.problems)])


def stats_table(stats: StoreStats) -> str:
    """The store's totals, a line a model, and what should be looked after."""
    header = ("model", "versions", "broken", "current", "size", "on disk", "hits", "misses")
    rows = [
        (
            *(model.model, str(model.versions), str(model.broken), model.current or NOTHING),
            *(sizes.size(model.bytes), sizes.size(model.disk_bytes)),
            *(str(model.hits), str(model.misses)),
        )
        for model in stats.models
    ]
    lines = [
        f"{stats.store}: {len(stats.models)} models, {stats.versions} versions, "
        f"{sizes.size(stats.bytes)} ({sizes.size(stats.disk_bytes)} on disk)"
    ]
    if rows:
        right = [name for name in header if name not in ("model", "current")]
        lines += ["", sizes.table(header, rows, right=right)]
    staging = [(s.name, sizes.size(s.bytes), sizes.age(s.age_seconds)) for s in stats.staging]
    if staging:
        lines += ["", sizes.table(("staging", "size", "age"), staging, right=("size", "age"))]
    lines += [f"\ncurrent of {name} names no version" for name in stats.dangling_currents]
    if stats.dangling_keys:
        lines.append(f"\n{stats.dangling_keys} keys without their version: gc removes them")
    return "\n".join(lines)


def gc_table(outcomes: Sequence[Outcome], *, dry_run: bool) -> str:
    """A line a thing with what was done and why, and what it brought."""
    words = {"keep": "keep", "remove": "removed", "restore": "restored", "fail": "FAILED"}
    if dry_run:
        words |= {"remove": "would remove", "restore": "would restore"}
    rows = [
        (
            words[outcome.action],
            _short(outcome),
            NOTHING if outcome.age is None else sizes.age(outcome.age),
            sizes.size(outcome.freed) if outcome.freed else NOTHING,
            outcome.reason,
        )
        for outcome in outcomes
    ]
    header = ("action", "what", "age", "frees", "why")
    freed = sizes.size(sum(o.freed for o in outcomes if o.action == "remove"))
    total = f"{freed} {'would be freed' if dry_run else 'freed'}"
    return f"{sizes.table(header, rows, right=('age', 'frees'))}\n\n{total}" if rows else total


def _short(outcome: Outcome) -> str:
    if outcome.kind != "key":
        return outcome.name
    folder, _, key = outcome.name.rpartition("/")
    return f"{folder}/{key[:12]}…"
