"""What the referee costs, from raw samples."""

from __future__ import annotations

from benchmarks import referee_cost
from benchmarks.harness.launch import Memory
from benchmarks.parts.cells import Cell
from benchmarks.referee_cost import CONNECTIONS, EXACT, OFF, ON, Cost, Start


def cell(server: str, connections: int, number: int, rate: float) -> Cell:
    return Cell(
        server=server,
        protocol="rest-json",
        workload="held-out sentences",
        connections=connections,
        round=number,
        rate=rate,
        p50=1.0,
        p95=2.0,
        p99=3.0,
        errors=0,
        first_error=None,
        client="c",
        client_cpu=0.1,
        server_cpu=1.0,
        latencies=[1.0],
    )


def cost(with_referee: float) -> Cost:
    """Two rounds of samples, in the second of which the machine is half as fast."""
    rates = {OFF: 100.0, ON: with_referee, EXACT: 50.0}
    starts = [
        Start(name, number, 0.5, Memory(200, 100, 60), Memory(220, 110, 70))
        for number in (0, 1)
        for name in rates
    ]
    cells = [
        cell(name, connections, number, rate / (1 + number))
        for number in (0, 1)
        for connections in CONNECTIONS
        for name, rate in rates.items()
    ]
    return Cost("m", starts, cells)


def test_rates_are_compared_round_by_round() -> None:
    table = referee_cost.rates(cost(95.0))
    assert [row[0] for row in table.rows] == ["1", "4", "16"]
    assert table.rows[0][4:6] == ["0.95 (0.95 to 0.95)", "1.90 (1.90 to 1.90)"]


def test_nine_tenths_of_int8s_rate_must_be_left() -> None:
    assert [each.met for each in referee_cost.targets(cost(95.0))] == [True] * 3
    assert [each.met for each in referee_cost.targets(cost(85.0))] == [False] * 3


def test_each_server_has_its_start_and_its_memory() -> None:
    table = referee_cost.starts(cost(95.0))
    assert [row[0] for row in table.rows] == [OFF, ON, EXACT]
    assert table.rows[0][1:3] == ["500 (500 to 500)", "100 (100 to 100)"]
