"""Requests in flight."""

from __future__ import annotations

import time

from predictor.serving.server_state import InFlight


def test_it_is_quiet_when_no_request_has_been_in_flight_for_a_while() -> None:
    in_flight = InFlight()
    in_flight.begin()
    in_flight.begin()
    in_flight.end()
    assert in_flight.under_way == 1
    assert not in_flight.quiet_for(0)
    in_flight.end()
    assert in_flight.quiet_for(0)
    assert not in_flight.quiet_for(60)
    time.sleep(0.01)
    assert in_flight.quiet_for(0.01)
