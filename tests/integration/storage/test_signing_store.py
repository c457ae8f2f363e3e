"""``python -m storage_init.store sign``, and what the other commands say of signatures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from storage_init.format.package import SIGNATURE_FILE
from storage_init.format.signing import SIGN_VARIABLE, check_signature
from storage_init.format.verify import verify
from storage_init.store.layout import Store
from storage_init.store.verification import sign_version
from tests.support.machine.interrupt import BROKEN, FINISHED, SUCCEEDED, die, run_in_child
from tests.support.models.keys import KeyPair, key_pair, needs_signing
from tests.unit.storage_init.fakes import publish_fake

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = [pytest.mark.integration, needs_signing]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def run(
    command: str, store: Store, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "storage_init.store", command, str(store.root), *arguments],
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_sign_refuses_what_is_broken_and_replaces_a_signature(store: Store, keys: KeyPair) -> None:
    version = publish_fake(store)
    arguments = ("sign", store, f"m@{version.name}")
    assert run(*arguments, f"--key={keys.private}").returncode == 0
    other = key_pair(keys.private.parent, "other")
    assert run(*arguments, environment={SIGN_VARIABLE: str(other.private)}).returncode == 0
    check_signature(version, other.public)
    assert store.versions("m") == [version.name]
    assert (version / SIGNATURE_FILE).stat().st_mode & 0o777 == 0o444

    (version / "evidence.json").unlink()
    done = run(*arguments, f"--key={keys.private}")
    assert (done.returncode, "evidence.json is missing" in done.stderr) == (1, True)
    check_signature(version, other.public)
    assert list((store.root / ".staging").iterdir()) == []


def test_a_killed_sign_leaves_the_old_signature_or_the_new_one(store: Store, keys: KeyPair) -> None:
    import_module("storage_init.format.model_signing")  # once, for every child
    version = publish_fake(store)
    sign_version(store, "m", None, keys.private)
    old = (version / SIGNATURE_FILE).read_bytes()
    other = key_pair(keys.private.parent, "other")

    def work() -> int:
        sign_version(store, "m", None, other.private)
        return SUCCEEDED

    seen, code, step = set(), BROKEN, 0
    while code != FINISHED:
        step += 1
        code = run_in_child(store.root, step, die, work)
        assert code in (FINISHED, -signal.SIGKILL)
        verify(version)
        seen.add((version / SIGNATURE_FILE).read_bytes() == old)
        sign_version(store, "m", None, keys.private)
        old = (version / SIGNATURE_FILE).read_bytes()
    assert step > 5
    assert seen == {True, False}


def test_sign_needs_a_key_that_is_there(store: Store, tmp_path: Path) -> None:
    version = publish_fake(store)
    done = run("sign", store, "m")
    assert (done.returncode, done.stdout) == (1, "")
    assert "name a private key with --key, or in WARMSTART_SIGN_KEY" in done.stderr
    done = run("sign", store, "m", f"--key={tmp_path / 'no.pem'}")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no.pem cannot be read" in done.stderr
    assert not (version / SIGNATURE_FILE).exists()


def test_list_show_and_verify_say_what_is_signed(store: Store, keys: KeyPair) -> None:
    signed = publish_fake(store, name="signed")
    publish_fake(store, name="unsigned")
    done = run("sign", store, "signed", f"--key={keys.private}", "--json")
    assert json.loads(done.stdout)["version"] == signed.name

    listed = json.loads(run("list", store, "--json").stdout)["versions"]
    assert {each["model"]: each["signed"] for each in listed} == {"signed": True, "unsigned": False}
    assert [line.split()[-1] for line in run("list", store).stdout.splitlines()] == [
        *("signed", "yes", "no")
    ]
    assert json.loads(run("show", store, "signed", "--json").stdout)["signed"] is True
    assert "signed      no" in run("show", store, "unsigned").stdout

    assert run("verify", store).returncode == 0
    done = run("verify", store, "--json", f"--key={keys.public}")
    found = {each["model"]: each["problems"] for each in json.loads(done.stdout)["versions"]}
    assert done.returncode == 1
    assert found == {"signed": [], "unsigned": ["it is not signed: it has no package.sig"]}
    assert run("verify", store, "signed", f"--key={keys.public}").returncode == 0
    done = run("verify", store, f"--key={keys.private}")
    assert (done.returncode, "is not a usable public key" in done.stderr) == (1, True)
