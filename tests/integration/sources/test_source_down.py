"""Pods that start while the hub, the bucket or the web server is down."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from storage_init.format.signing import VERIFY_VARIABLE, sign
from storage_init.format.verify import verify
from storage_init.store.layout import Store
from tests.support.machine.pods import URI, Pods
from tests.support.models.keys import KeyPair, needs_signing
from tests.support.models.packages import flip_byte, writable_copy
from tests.support.servers.hub import Hub, hub
from tests.unit.storage_init.fakes import publish_fake, with_weights

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

REPO = "owner/prepared"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Hub]:
    made = publish_fake(Store(tmp_path / "made"))
    with hub({REPO: writable_copy(made, tmp_path / "repository")}) as running:
        yield running


@pytest.fixture
def pods(tmp_path: Path, server: Hub) -> Pods:
    """Pods of a store that the first has filled."""
    pods = Pods(tmp_path, server)
    assert pods.run(0).returncode == 0
    return pods


@pytest.mark.parametrize("how", ["refused", "no such host", "503"])
def test_a_hit_needs_no_server(pods: Pods, server: Hub, how: str) -> None:
    if how == "503":
        server.before_answer = lambda _: 503
    else:
        # The same endpoint as before, which now leads nowhere.
        proxy = "http://127.0.0.1:9" if how == "refused" else "http://nowhere.invalid:80"
        pods.environment |= {"http_proxy": proxy, "NO_PROXY": "", "no_proxy": ""}
    commit = server.commit(REPO)
    done = pods.run(1)
    assert done.returncode == 0, done.stderr
    (warning,) = [line for line in done.stderr.splitlines() if " WARNING storage_init" in line]
    assert f"{URI} cannot be fetched: " in warning
    assert f"serving revision {commit}, which it had when last asked (" in warning
    assert " s ago)" in warning
    assert done.stderr.count("trying again") == 1, "short, for there is something to fall back on"
    assert "store hit" in done.stderr
    verify(pods.destination(1))


@pytest.mark.parametrize(("status", "reason"), [(401, "401"), (403, "403"), (404, "404")])
def test_a_refusal_is_no_outage(pods: Pods, server: Hub, status: int, reason: str) -> None:
    server.before_answer = lambda _: status
    done = pods.run(1)
    assert done.returncode == 1
    assert "serving revision" not in done.stderr
    assert " ERROR storage_init " in done.stderr.splitlines()[-1]
    assert list(pods.destination(1).iterdir()) == []


def test_who_wants_no_fallback_gets_the_error(pods: Pods, server: Hub) -> None:
    pods.environment |= {"WARMSTART_UNREACHABLE": "refuse", "WARMSTART_RETRIES": "0"}
    server.before_answer = lambda _: 503
    done = pods.run(1)
    assert done.returncode == 1
    assert "the server answers 503" in done.stderr.splitlines()[-1]
    assert list(pods.destination(1).iterdir()) == []


def test_what_was_never_asked_for_cannot_be_fallen_back_on(pods: Pods, server: Hub) -> None:
    pods.environment |= {"WARMSTART_RETRIES": "0"}
    server.before_answer = lambda _: 503
    done = pods.run(1, f"hf://{REPO}@v2")
    assert done.returncode == 1
    assert "the server answers 503" in done.stderr.splitlines()[-1]


def test_a_version_that_rotted_is_not_served_for_want_of_a_server(pods: Pods, server: Hub) -> None:
    (version,) = pods.versions()
    flip_byte(version / "int8" / "model.onnx.data", 3)
    pods.environment |= {"WARMSTART_RETRIES": "0"}
    server.before_answer = lambda _: 503
    done = pods.run(1)
    assert done.returncode == 1
    assert "int8/model.onnx.data has sha256" in done.stderr
    assert "the server answers 503" in done.stderr.splitlines()[-1]
    assert list(pods.destination(1).iterdir()) == []


def test_a_pinned_commit_asks_nobody(pods: Pods, server: Hub) -> None:
    pinned = f"hf://{REPO}@{server.commit(REPO)}"
    for number in (1, 2):
        server.requests.clear()
        done = pods.run(number, pinned)
        assert done.returncode == 0, done.stderr
        verify(pods.destination(number))
    assert server.requests == []


def test_a_branch_that_moved_is_followed_though_the_old_version_was_at_hand(
    pods: Pods, server: Hub, tmp_path: Path
) -> None:
    other = publish_fake(Store(tmp_path / "other"), with_weights(b"newer"), key="b" * 64)
    server.push(REPO, writable_copy(other, tmp_path / "newer"))
    for number, outcome in ((1, "store miss"), (2, "store hit")):
        done = pods.run(number)
        assert done.returncode == 0, done.stderr
        assert outcome in done.stderr
        assert (pods.destination(number) / "fp32" / "model.onnx.data").read_bytes() == b"newer"


def test_a_moment_after_one_pod_asked_the_others_need_not(pods: Pods, server: Hub) -> None:
    pods.environment |= {"WARMSTART_RECHECK_SECONDS": "3600"}
    server.requests.clear()
    done = pods.run(1)
    assert done.returncode == 0, done.stderr
    assert server.requests == []
    (record,) = (pods.store / "resolved").iterdir()
    os.utime(record, (0, record.stat().st_mtime - 3601))
    assert pods.run(2).returncode == 0
    assert server.requests != []
    verify(pods.destination(2))


@needs_signing
def test_what_is_not_signed_as_asked_is_not_served_for_want_of_a_server(
    pods: Pods, server: Hub, keys: KeyPair
) -> None:
    pods.environment |= {VERIFY_VARIABLE: str(keys.public), "WARMSTART_RETRIES": "0"}
    server.before_answer = lambda _: 503
    done = pods.run(1)
    assert done.returncode == 1
    assert "it is not signed: it has no package.sig" in done.stderr
    assert "the server answers 503" in done.stderr.splitlines()[-1]
    assert list(pods.destination(1).iterdir()) == []


@needs_signing
@pytest.mark.parametrize("recheck", ["0", "3600"])
def test_an_unsigned_version_at_hand_does_not_hide_that_a_signed_one_is_there(
    pods: Pods, server: Hub, keys: KeyPair, tmp_path: Path, recheck: str
) -> None:
    other = publish_fake(Store(tmp_path / "other"), with_weights(b"newer"), key="b" * 64)
    newer = writable_copy(other, tmp_path / "newer")
    sign(newer, keys.private)
    server.push(REPO, newer)
    pods.environment |= {VERIFY_VARIABLE: str(keys.public), "WARMSTART_RECHECK_SECONDS": recheck}
    done = pods.run(1)
    assert done.returncode == 0, done.stderr
    assert (pods.destination(1) / "fp32" / "model.onnx.data").read_bytes() == b"newer"
