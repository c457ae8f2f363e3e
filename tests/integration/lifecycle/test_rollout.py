"""A rollout's steps with a real server behind a service whose cluster is a stand-in.

The cluster itself is tried by ``tests/cluster/test_rollout_command.py``.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest
import requests

from pipeline.recipe.recipe import Recipe
from pipeline.rollout import rollout
from pipeline.rollout.objects import Canary, Pods, ServiceError, State
from pipeline.rollout.replay import Address
from pipeline.rollout.rollout import Plan, Rollout, RolloutError
from pipeline.rollout.service import ConflictError, Service
from storage_init.base.errors import StoreError
from storage_init.format.reading import read_package
from storage_init.store.layout import Store
from storage_init.store.pins import owners
from tests.support.models.prepare import prepared

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.process import Predictor

pytestmark = pytest.mark.integration

OLD = "0123456789abcdef"


@dataclass
class StandIn:
    """A service that does at once what it is told; ``log`` has the versions that it named.

    Attributes:
        failing: why pods of the version asked for end.
        rival: what somebody else names while this rollout waits for its pods.
        gateway: whether a canary would get requests; one that is there from the start does.
    """

    server: Predictor
    state: State
    failing: str = ""
    gateway: bool = False
    ready: bool = True
    rival: str | None = None
    log: list[tuple[str | None, str | None, int]] = field(default_factory=list)
    namespace: str = "models"
    name: str = "m"

    def read(self) -> State:
        return self.state

    def name_version(
        self, version: str | None, previous: str | None, seen: State, canary: Canary | None = None
    ) -> State:
        if seen != self.state:
            raise ConflictError(f"{self.name} was changed meanwhile")
        self.log.append((version, previous, canary.percent if canary else 0))
        self.state = State(version, previous, canary.version if canary else None)
        return self.state

    def pods(self, version: str, deployment: str = "") -> Pods | None:  # noqa: ARG002
        if self.rival:
            self.state = State(self.rival, self.state.version)
        if self.failing and version != OLD:
            return None
        return Pods(2, 2, 2 if self.ready else 1, 2)

    def failures(self, version: str) -> list[str]:  # noqa: ARG002
        return [self.failing] if self.failing else []

    def splits_traffic(self) -> bool:
        return self.gateway

    def canary_weight(self) -> int:
        return self.log[-1][2] if self.log else 10

    def address(self, deployment: str = "") -> Address:  # noqa: ARG002
        return Address(requests.Session(), self.server.url, self.name)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(rollout, "GATEWAY_SECONDS", 0.01)
    monkeypatch.setattr(rollout, "SETTLE_SECONDS", 0.05)


@pytest.fixture
def store(prepared_classifier: Path, classifier: Path, tmp_path: Path) -> Store:
    """A store with the server's version and another one, both of the model ``m``."""
    made = Store(tmp_path / "store")
    for folder in (prepared_classifier, prepared(classifier, "m", Recipe(variants=("fp32",)))):
        version = made.version_folder("m", read_package(folder)[1])
        shutil.copytree(folder, version)
    return made


@pytest.fixture
def served(prepared_classifier: Path) -> str:
    """The version that the server answers from."""
    return read_package(prepared_classifier)[1]


@pytest.fixture
def other(store: Store, served: str) -> str:
    """The store's other version."""
    (found,) = set(store.versions("m")) - {served}
    return found


def run(service: StandIn, store: Store, plan: Plan) -> list[str]:
    said: list[str] = []
    Rollout(cast("Service", service), store, plan, said.append).run()
    return said


def test_a_version_that_answers_its_self_test_is_promoted_and_pinned(
    server: Predictor, store: Store, served: str
) -> None:
    service = StandIn(server, State(OLD, None))
    said = run(service, store, Plan("m", served))
    assert service.log == [(served, OLD, 0), (served, None, 0)]
    assert owners(store, "m", served) == ["models.m"]
    assert said[-1].endswith(f"serves {served}, before it {OLD}")


def test_a_canary_comes_first_and_the_stable_pods_keep_their_version(
    server: Predictor, store: Store, served: str
) -> None:
    service = StandIn(server, State(OLD, None), gateway=True)
    run(service, store, Plan("m", served, canary=10, soak=0.02))
    assert service.log == [(OLD, OLD, 10), (OLD, OLD, 0), (served, OLD, 0), (served, None, 0)]


def test_the_canary_of_a_run_that_was_killed_loses_its_share_before_it_goes(
    server: Predictor, store: Store, served: str, other: str
) -> None:
    service = StandIn(server, State(OLD, OLD, other), gateway=True)
    run(service, store, Plan("m", served))
    assert service.log == [(OLD, OLD, 0), (served, OLD, 0), (served, None, 0)]


def test_a_canary_that_would_get_no_requests_is_refused(
    server: Predictor, store: Store, served: str
) -> None:
    service = StandIn(server, State(OLD, None))
    with pytest.raises(ServiceError, match="has no HTTPRoute"):
        run(service, store, Plan("m", served, canary=10))
    assert service.log == []


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ({"failing": "self-test failed"}, "a pod ended: self-test failed"),
        ({"ready": False}, "not ready after 0.05 s"),
        ({}, "answers from version"),
    ],
)
def test_the_old_version_is_put_back_if_the_new_one_fails(
    server: Predictor,
    store: Store,
    served: str,
    other: str,
    trouble: dict[str, object],
    reason: str,
) -> None:
    service = StandIn(server, State(served, None))
    for name, value in trouble.items():
        setattr(service, name, value)
    with pytest.raises(RolloutError, match=reason):
        run(service, store, Plan("m", other, timeout=0.05))
    assert service.state == State(served, None)
    assert owners(store, "m", served) == ["models.m"]


def test_a_run_that_was_killed_is_finished_with_the_version_it_would_have_put_back(
    server: Predictor, store: Store, served: str, other: str
) -> None:
    service = StandIn(server, State(other, served), failing="self-test failed")
    with pytest.raises(RolloutError, match=f"serves {served} as before|names {served} again"):
        run(service, store, Plan("m", other, timeout=0.05))
    assert service.state == State(served, None)


@pytest.mark.parametrize("failing", ["", "self-test failed"])
def test_what_another_rollout_names_meanwhile_is_left_alone(
    server: Predictor, store: Store, served: str, failing: str
) -> None:
    service = StandIn(server, State(OLD, None), failing=failing, rival="f" * 16)
    with pytest.raises(ConflictError, match="changed meanwhile"):
        run(service, store, Plan("m", served, timeout=0.05))
    assert service.log == [(served, OLD, 0)]
    assert service.state.version == "f" * 16


def test_without_another_version_the_failing_one_stays_and_the_error_says_so(
    server: Predictor, store: Store, served: str
) -> None:
    service = StandIn(server, State(served, None), failing="out of memory")
    with pytest.raises(RolloutError, match="there is no other version to put back"):
        run(service, store, Plan("m", served))


def test_a_version_that_the_store_does_not_have_changes_nothing(
    server: Predictor, store: Store
) -> None:
    service = StandIn(server, State(None, None))
    with pytest.raises(StoreError, match="has no m@"):
        run(service, store, Plan("m", OLD))
    assert service.log == []
