"""What has arrived of a request, seen without reading it."""

from __future__ import annotations

import fcntl
import re
import socket
import struct
import termios
from typing import NamedTuple

HEAD_BYTES = 32 * 1024  # of header that are waited for
SMALL_BYTES = 64 * 1024  # of header and body: forms have a few hundred

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
# How long it is, is unknown; or its body comes only after an answer.
_UNKNOWN = re.compile(rb"\r\n(?:transfer-encoding|expect)[ \t]*:", re.IGNORECASE)


class Arrival(NamedTuple):
    """How far a request has arrived."""

    path: bytes = b""
    missing_until: int = 0
    """So many bytes of it must have arrived before it is looked at again; 0: it is complete."""
    is_slow: bool = False
    """A thread must read it, which may take long."""


def unread_bytes(client: socket.socket) -> int:
    """Return how many bytes have arrived."""
    size: int = struct.unpack("i", fcntl.ioctl(client, termios.FIONREAD, b"\0" * 4))[0]
    return size


def arrival_of(client: socket.socket) -> Arrival:
    """Return how far the next request of a client has arrived."""
    try:
        head = client.recv(HEAD_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return Arrival(missing_until=1)
    except OSError:
        return Arrival()  # whoever reads it will see
    if not head:
        return Arrival()  # the client has gone
    end = head.find(b"\r\n\r\n") + 4
    if head.startswith(b"\r\n") or (end < 4 and len(head) == HEAD_BYTES):  # noqa: PLR2004 - not found
        return Arrival(is_slow=True)  # nonsense, which may go on
    if end < 4:  # noqa: PLR2004 - not found
        return Arrival(missing_until=len(head) + 1)
    return _with_body(client, head[:end])


def _with_body(client: socket.socket, header: bytes) -> Arrival:
    """Return how far a request has arrived whose header is complete."""
    path = header.split(b" ", 2)[1:2]
    probe = path[0].partition(b"?")[0] if path else b""
    if _UNKNOWN.search(header):
        return Arrival(probe, is_slow=True)
    length = _LENGTH.search(header)
    total = len(header) + int(length[1]) if length else 0
    if total > SMALL_BYTES:
        return Arrival(probe, is_slow=True)
    return Arrival(probe, missing_until=total if total and unread_bytes(client) < total else 0)
