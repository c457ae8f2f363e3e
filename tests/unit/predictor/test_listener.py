"""The REST port is opened once and closed without losing a connection."""

from __future__ import annotations

import socket
import sys

import pytest

from predictor.errors import PortError
from predictor.listener import has_waiting, listen, refuse_new


def test_a_taken_port_is_refused_by_name() -> None:
    with listen(0) as listener:
        port = listener.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()
        with pytest.raises(PortError, match=f"cannot listen on port {port}: Address already"):
            listen(port)


@pytest.mark.skipif(sys.platform != "linux", reason="socket filters are Linux's")
@pytest.mark.parametrize("family", ["127.0.0.1", "::1"])
def test_new_connections_are_refused_and_existing_ones_stay(family: str) -> None:
    with listen(0) as listener:
        address = (family, listener.getsockname()[1])
        with socket.create_connection(address, timeout=5) as made:
            made.sendall(b"before")
            refuse_new(listener)
            with pytest.raises(TimeoutError):
                socket.create_connection(address, timeout=0.3)
            assert has_waiting(listener)
            accepted, _ = listener.accept()
            assert not has_waiting(listener)
            with accepted:
                made.sendall(b" and after")
                assert accepted.recv(6, socket.MSG_WAITALL) == b"before"
                accepted.sendall(b"answer")
                assert made.recv(6, socket.MSG_WAITALL) == b"answer"
