"""``python -m storage_init``: arguments, exit codes and the last line of the log."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storage_init.__main__ import _shared_store, main
from storage_init.base.variables import SettingError
from storage_init.fetch.shared_store import POLL_SECONDS, SharedStore
from storage_init.format.verify import verify
from storage_init.store.layout import Store

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("arguments", [[], ["file:///m"], ["file:///m", "/a", "file:///n"]])
def test_a_source_without_a_destination_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert (arguments[-1] if arguments else "SRC DST") in last_line(capsys)


def test_pairs_are_fetched_until_one_fails_and_its_reason_is_the_last_line(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    pairs = [published.as_uri(), str(one), published.as_uri(), str(two)]
    assert main(pairs) == 0
    assert verify(one) == verify(two)
    assert main([*pairs, "file:///nowhere", str(tmp_path / "three")]) == 1
    assert last_line(capsys).endswith(
        "ERROR storage_init file:///nowhere: there is no folder /nowhere"
    )


def test_the_environment_may_ask_for_logs_in_json(
    published: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WARMSTART_LOG_FORMAT", "json")
    assert main([published.as_uri(), str(tmp_path / "one")]) == 0
    assert main(["nonsense", str(tmp_path / "two")]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["message"] for line in lines[:-1]] == ["fetched", "verified"]
    assert (lines[-1]["level"], lines[-1]["message"].split()[0]) == ("ERROR", "nonsense")


def test_the_environment_configures_the_use_of_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    stated = {"LEASE_SECONDS": "2.5", "UNREACHABLE": "refuse", "RECHECK_SECONDS": "30"}
    for name, value in {"STORE": "/mnt/store", **stated}.items():
        monkeypatch.setenv(f"WARMSTART_{name}", value)
    assert _shared_store() == SharedStore(Store(Path("/mnt/store")), POLL_SECONDS, 2.5, False, 30.0)
    monkeypatch.delenv("WARMSTART_STORE")
    assert _shared_store() is None
    monkeypatch.setenv("WARMSTART_LEASE_SECONDS", "soon")
    with pytest.raises(SettingError, match="WARMSTART_LEASE_SECONDS=soon: "):
        _shared_store()
