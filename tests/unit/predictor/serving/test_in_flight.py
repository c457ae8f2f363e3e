"""Which requests are under way."""

from __future__ import annotations

import time

from predictor.serving.in_flight import Traffic


def test_it_is_quiet_once_nothing_is_and_for_a_while_nothing_was_under_way() -> None:
    traffic = Traffic()
    traffic.begin()
    traffic.begin()
    traffic.end()
    assert traffic.under_way == 1
    assert not traffic.quiet_for(0)
    traffic.end()
    assert traffic.quiet_for(0)
    assert not traffic.quiet_for(60)
    time.sleep(0.01)
    assert traffic.quiet_for(0.01)
