"""The command line that the parts share."""

from __future__ import annotations

import pytest

from benchmarks.parts.bench import parse

PARTS = ("cold_start", "memory")


def test_quick_is_shorter_and_explicit_values_win() -> None:
    full, quick = parse([], PARTS), parse(["--quick"], PARTS)
    assert full.parts == PARTS
    assert full.rounds >= 7
    assert full.connections == (1, 4, 16, 64)
    assert quick.rounds < full.rounds
    assert quick.requests < full.requests
    assert parse(["--quick", "--rounds=3", "--connections=2,8"], PARTS).connections == (2, 8)
    assert parse(["memory"], PARTS).parts == ("memory",)


def test_servers_are_chosen_by_words_in_their_names() -> None:
    options = parse(["--servers=auto,Py"], PARTS)
    assert [name for name in ("warmstart auto", "PyTorch", "ONNX") if options.wants(name)] == [
        *("warmstart auto", "PyTorch")
    ]


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["speed"], PARTS)
    assert "unknown part speed" in capsys.readouterr().err
