"""Settings from flags and variables, and the errors of wrong values."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from predictor.settings import Settings, parse_settings
from storage_init.base.cpus import usable_cpus

NAMES = [item.name for item in fields(Settings)]


def refused(argv: list[str], environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        parse_settings(argv, environ)
    assert stopped.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_the_defaults_match_kserves_mount_and_ports() -> None:
    settings = parse_settings([], {})
    assert settings == Settings()
    assert (settings.model_dir, settings.http_port, settings.grpc_port) == (
        Path("/mnt/models"),
        8080,
        8081,
    )
    assert (settings.variant, settings.verify) == ("auto", "served")
    assert settings.lanes == usable_cpus()


def test_flags_precede_variables_and_variables_precede_defaults() -> None:
    environ = {"WARMSTART_LANES": "3", "WARMSTART_VERIFY": "size", "WARMSTART_MODEL_DIR": "/m"}
    settings = parse_settings(["--lanes=5"], environ)
    assert (settings.lanes, settings.verify, settings.model_dir) == (5, "size", Path("/m"))


def test_a_key_needs_a_file_name_and_digests(capsys: pytest.CaptureFixture[str]) -> None:
    variable = {"WARMSTART_VERIFY_KEY": "/keys/key.pub"}
    assert parse_settings([], variable).verify_key == Path("/keys/key.pub")
    assert parse_settings(["--verify=served"], variable).verify == "served"
    said = refused(["--verify=size"], variable, capsys)
    assert "--verify=size excludes --verify_key" in said
    said = refused([], {"WARMSTART_VERIFY_KEY": ""}, capsys)
    assert "WARMSTART_VERIFY_KEY=: name a PEM file, or do not set it" in said


def test_several_workers_are_refused_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse_settings(["--workers=1"], {}) == Settings()
    said = refused(["--workers=4"], {}, capsys)
    assert "--workers: '4' processes are not supported: one uses all CPUs (--lanes)" in said
    assert "Scale with replicas" in said


def test_variables_without_the_prefix_are_ignored() -> None:
    assert parse_settings([], {"LANES": "3", "MODEL_NAME": "other"}) == Settings()


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("True", True), ("1", True), ("false", False), ("False", False), ("0", False)],
)
def test_booleans_are_written_as_in_kserve(text: str, value: bool) -> None:
    assert parse_settings([f"--enable_grpc={text}"], {}).enable_grpc is value
    assert parse_settings(["--enable_grpc", text], {}).enable_grpc is value
    assert parse_settings([], {"WARMSTART_ENABLE_GRPC": text}).enable_grpc is value


@pytest.mark.parametrize(
    ("flag", "complaint"),
    [
        ("--http_port=-1", "--http_port: '-1' is not a whole number from 0 up"),
        ("--lanes=0", "--lanes: '0' is not a whole number from 1 up"),
        ("--enable_grpc=maybe", "--enable_grpc: 'maybe' is neither true nor false"),
        ("--enable_grpc", "--enable_grpc: expected one argument"),
        ("--max_batch_move=far", "--max_batch_move: 'far' is not a number"),
        ("--drain_seconds=-1", "--drain_seconds: '-1' is not a number of seconds"),
        ("--provider=cuda", "--provider: invalid choice: 'cuda'"),
        ("--verify=none", "--verify: invalid choice: 'none'"),
        ("--log_level=debug", "--log_level: invalid choice: 'debug'"),
    ],
)
def test_a_wrong_flag_is_named_with_what_was_expected(
    flag: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert complaint in refused([flag], {}, capsys)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("VERIFY", "none", "choose from all, served, size"),
        ("LANES", "many", "'many' is not a whole number from 1 up"),
    ],
)
def test_a_wrong_variable_is_named_with_what_was_expected(
    name: str, value: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    variable = f"WARMSTART_{name}"
    assert f"{variable}={value}: {complaint}" in refused([], {variable: value}, capsys)


@pytest.mark.parametrize(
    "stray",
    # "--model" is no abbreviation of "--model_name".
    ["--docs=true", "--model=x", "--lane=2", "stray"],
)
def test_an_unknown_argument_is_refused_by_name(
    stray: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"unrecognized arguments: {stray}" in refused(["--lanes=2", stray], {}, capsys)


def test_help_shows_the_default_and_the_variable_of_every_flag(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse_settings(["--help"], {})
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for name in NAMES:
        variable = f"WARMSTART_{name.upper()}"
        assert re.search(rf"--{name} \S+ \w[^(]+\(default: [^;]+; {variable}\)", text), name
