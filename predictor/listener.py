"""Opens the REST port, and closes it without losing a connection."""

from __future__ import annotations

import ctypes
import select
import socket
import struct

from predictor.errors import PortError

BACKLOG = 2048
SO_ATTACH_FILTER = 26
# By then, a handshake that began before the filter is complete.
SETTLE_SECONDS = 0.1
# A classic BPF program on the TCP header: drops the packets that open a connection.
_NO_SYN = (
    (0x30, 0, 0, 13),  # load the flags
    (0x54, 0, 0, 0x12),  # select SYN and ACK
    (0x15, 0, 1, 0x02),  # if SYN alone is set:
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # else keep
)


def listen(port: int) -> socket.socket:
    """A socket that listens on all addresses.

    Raises:
        PortError: the port is taken.
    """
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(
                ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG
            )
        return socket.create_server(("0.0.0.0", port), backlog=BACKLOG)  # noqa: S104
    except OSError as error:
        raise PortError(f"cannot listen on port {port}: {error.strerror}") from error


def has_waiting(listener: socket.socket) -> bool:
    """Whether there are connections that the server has not accepted yet."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    return bool(poll.poll(0))


def refuse_new(listener: socket.socket) -> None:
    """Make the kernel ignore new connections; existing ones can still be accepted.

    Closing the listener would reset the connections in its backlog, whose clients may have sent
    their request already. Does nothing where the kernel has no socket filters.
    """
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in _NO_SYN)
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HP", len(_NO_SYN), ctypes.addressof(buffer))
    try:
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    except OSError:
        return
