"""Roll a service out to a version of the store, and put the old version back if it fails.

The cluster holds all state: which version the service names, and, in an annotation, which one to
put back. A rollout that was killed is finished by running it again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from pipeline.rollout.objects import CANARY, Canary, ServiceError
from pipeline.rollout.replay import ReplayError, replay, served_version
from storage_init.base.errors import WarmstartError
from storage_init.store.pins import pin, unpin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.rollout.replay import Address, Replayed
    from pipeline.rollout.service import Service
    from storage_init.store.layout import Store

POLL_SECONDS = 1.0
# A Service may still route requests to the old pods for this long after they have left.
SETTLE_SECONDS = 15.0
# KServe writes a changed route at its next look at the service.
ROUTE_SECONDS = 60.0
# A Gateway does not say when it has taken a changed route. Traefik gathers changes for two seconds.
GATEWAY_SECONDS = 5.0


class RolloutError(WarmstartError):
    """The version did not become ready, or answers wrongly; the message says what serves now."""


@dataclass(frozen=True)
class Plan:
    """What to roll out, and how.

    ``canary`` is the percentage of requests that the version gets first, 0 for none. ``soak`` are
    the seconds for which it keeps them. ``timeout`` are the seconds in which all pods must be
    ready.
    """

    name: str
    version: str
    canary: int = 0
    soak: float = 60.0
    timeout: float = 600.0


class _FailureError(WarmstartError):
    """Why the version is not promoted."""


class Rollout:
    """One run; ``say`` is given a line for each thing that happens."""

    def __init__(
        self, service: Service, store: Store, plan: Plan, say: Callable[[str], object]
    ) -> None:
        self._service, self._store, self._plan, self._say = service, store, plan, say
        self._owner = f"{service.namespace}.{service.name}"
        # What this run read or wrote last: a change by anybody else ends it.
        self._state = service.read()

    def run(self) -> None:
        """Point the service at the version, prove it, and promote it.

        Raises:
            ServiceError: the service cannot be changed, or somebody else changed it meanwhile.
            StoreError: the store has no such version, or cannot be written.
            RolloutError: the version failed, and the old one was put back.
        """
        plan, service, state = self._plan, self._service, self._state
        folder = self._store.resolve(plan.name, plan.version)
        if plan.canary and not service.splits_traffic():
            raise ServiceError(
                f"{service} has no HTTPRoute, so a canary would get no requests: set "
                "ingress.enableGatewayApi in KServe's config map, or leave out --canary"
            )
        known = (state.previous, state.version, served_version(service.address()))
        old = next((version for version in known if version not in {None, plan.version}), None)
        if old is not None and old in self._store.versions(plan.name):
            pin(self._store, plan.name, old, self._owner)
        candidate = f"{self._owner}.rollout"
        pin(self._store, plan.name, plan.version, candidate)
        try:
            if plan.canary and state.version != plan.version:
                self._try_canary(old, folder)
            self._withdraw_canary()
            self._name(plan.version, old)
            self._say(f"{service} names {plan.version}")
            self._wait(plan.version)
            self._replay(folder)
        except _FailureError as failure:
            self._put_back(old, str(failure))
        self._name(plan.version)
        pin(self._store, plan.name, plan.version, self._owner)
        unpin(self._store, plan.name, candidate)
        before = f", before it {old}" if old else ""
        self._say(f"promoted: {service} serves {plan.version}{before}")

    def _name(
        self, version: str | None, previous: str | None = None, canary: Canary | None = None
    ) -> None:
        self._state = self._service.name_version(version, previous, self._state, canary)

    def _try_canary(self, old: str | None, folder: Path) -> None:
        plan = self._plan
        # The stable pods keep the version that they serve, even if `current` has moved since.
        self._name(old, old, Canary(plan.version, plan.canary))
        self._say(f"canary of {plan.version} gets {plan.canary} % of the requests")
        self._wait(plan.version, CANARY)
        self._replay(folder, CANARY)
        deadline = time.monotonic() + plan.soak
        while time.monotonic() < deadline:
            self._fail_if_ended()
            time.sleep(POLL_SECONDS)

    def _withdraw_canary(self) -> None:
        """Stop the requests to a canary before it is removed, whichever run made it.

        KServe removes the canary's Service before the Gateway stops routing to it.
        """
        state = self._state
        if state.canary is None or not self._service.canary_weight():
            return
        self._name(state.version, state.previous, Canary(state.canary, 0))
        deadline = time.monotonic() + ROUTE_SECONDS
        while self._service.canary_weight() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        time.sleep(GATEWAY_SECONDS)

    def _wait(self, version: str, deployment: str = "") -> None:
        deadline = time.monotonic() + self._plan.timeout
        while not ((pods := self._service.pods(version, deployment)) and pods.done):
            if version == self._plan.version:
                self._fail_if_ended()
            if time.monotonic() > deadline:
                raise _FailureError(
                    f"not ready after {self._plan.timeout:g} s: {pods or 'no pods yet'}"
                )
            time.sleep(POLL_SECONDS)
        self._say(f"{pods.available} pods of {version} are ready")

    def _fail_if_ended(self) -> None:
        if ended := self._service.failures(self._plan.version):
            raise _FailureError(f"a pod ended: {ended[0]}")

    def _replay(self, folder: Path, deployment: str = "") -> None:
        address = self._service.address(deployment)
        deadline = time.monotonic() + SETTLE_SECONDS
        while (done := _replayed(address, folder, deadline)) is None:
            time.sleep(POLL_SECONDS)
        self._say(f"self-test of {done.texts} texts holds, off by {done.distance:.2g}")

    def _put_back(self, old: str | None, reason: str) -> NoReturn:
        service, plan = self._service, self._plan
        failed = f"{plan.version} failed ({reason})"
        if old is None:
            raise RolloutError(f"{failed}; there is no other version to put back")
        self._say(failed)
        self._withdraw_canary()
        self._name(old)
        try:
            self._wait(old)
        except _FailureError as failure:
            raise RolloutError(f"{failed}; {service} names {old} again: {failure}") from failure
        unpin(self._store, plan.name, f"{self._owner}.rollout")
        raise RolloutError(f"{failed}; {service} serves {old} as before")


def _replayed(address: Address, folder: Path, deadline: float) -> Replayed | None:
    """Replay once; return None if a retry may succeed, because old pods may still answer."""
    try:
        return replay(address, folder)
    except ReplayError as error:
        if time.monotonic() > deadline:
            raise _FailureError(str(error)) from error
        return None
