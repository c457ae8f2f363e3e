"""Roll a service out to a version of the store, and put the old version back if it fails.

The cluster holds all state: which version the service names, and, in an annotation, which one to
put back. A rollout that was killed is finished by running it again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.rollout.replay import ReplayError, replay, served_version
from pipeline.rollout.service import CANARY, Canary, ServiceError
from storage_init.base.errors import WarmstartError
from storage_init.store.pins import pin, unpin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.rollout.replay import Address, Replayed
    from pipeline.rollout.service import Service, State
    from storage_init.store.layout import Store

POLL_SECONDS = 1.0
# A Service may send requests to pods of before for as long as this after they have left.
SETTLE_SECONDS = 15.0


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

    def run(self) -> None:
        """Point the service at the version, prove it, and promote it.

        Raises:
            ServiceError: the service cannot be changed; it is as it was.
            StoreError: the store has no such version, or cannot be written.
            RolloutError: the version failed, and the old one was put back.
        """
        plan, service = self._plan, self._service
        folder = self._store.resolve(plan.name, plan.version)
        state = service.read()
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
                state = self._try_canary(state, old, folder)
            state = service.name_version(plan.version, old, state)
            self._say(f"{service} names {plan.version}")
            self._wait(plan.version)
            self._replay(folder)
        except _FailureError as failure:
            self._put_back(old, str(failure))
        service.name_version(plan.version, None, service.read())
        pin(self._store, plan.name, plan.version, self._owner)
        unpin(self._store, plan.name, candidate)
        self._say(
            f"promoted: {service} serves {plan.version}" + (f", before it {old}" if old else "")
        )

    def _try_canary(self, state: State, old: str | None, folder: Path) -> State:
        plan, service = self._plan, self._service
        canary = Canary(plan.version, plan.canary)
        # The stable pods stay at what they serve, even if `current` has moved since.
        state = service.name_version(old, old, state, canary)
        self._say(f"canary of {plan.version} gets {plan.canary} % of the requests")
        self._wait(plan.version, CANARY)
        self._replay(folder, CANARY)
        deadline = time.monotonic() + plan.soak
        while time.monotonic() < deadline:
            self._fail_if_ended()
            time.sleep(POLL_SECONDS)
        return state

    def _wait(self, version: str, deployment: str = "") -> None:
        deadline = time.monotonic() + self._plan.timeout
        while True:
            pods = self._service.pods(version, deployment)
            if pods is not None and pods.done:
                self._say(f"{pods.available} pods of {version} are ready")
                return
            self._fail_if_ended()
            if time.monotonic() > deadline:
                raise _FailureError(
                    f"not ready after {self._plan.timeout:g} s ({pods or 'no pods yet'})"
                )
            time.sleep(POLL_SECONDS)

    def _fail_if_ended(self) -> None:
        if ended := self._service.failures(self._plan.version):
            raise _FailureError(f"a pod ended: {ended[0]}")

    def _replay(self, folder: Path, deployment: str = "") -> None:
        address = self._service.address(deployment)
        deadline = time.monotonic() + SETTLE_SECONDS
        while (done := _replayed(address, folder, deadline)) is None:
            time.sleep(POLL_SECONDS)
        self._say(f"self-test of {done.texts} texts holds, off by {done.distance:.2g}")

    def _put_back(self, old: str | None, reason: str) -> None:
        service, plan = self._service, self._plan
        if old is None:
            raise RolloutError(
                f"{plan.version} failed ({reason}); there is no other version to put back"
            )
        self._say(f"{plan.version} failed: {reason}")
        service.name_version(old, None, service.read())
        try:
            self._wait_for_old(old)
        except _FailureError as failure:
            raise RolloutError(
                f"{plan.version} failed ({reason}); {service} names {old} again, whose pods are "
                f"{failure}"
            ) from failure
        unpin(self._store, plan.name, f"{self._owner}.rollout")
        raise RolloutError(f"{plan.version} failed ({reason}); {service} serves {old} as before")

    def _wait_for_old(self, old: str) -> None:
        deadline = time.monotonic() + self._plan.timeout
        while not ((pods := self._service.pods(old)) and pods.done):
            if time.monotonic() > deadline:
                raise _FailureError(f"not ready after {self._plan.timeout:g} s ({pods})")
            time.sleep(POLL_SECONDS)


def _replayed(address: Address, folder: Path, deadline: float) -> Replayed | None:
    """Replay; None if it may still hold later, because pods of before have just left."""
    try:
        return replay(address, folder)
    except ReplayError as error:
        if time.monotonic() > deadline:
            raise _FailureError(str(error)) from error
        return None
