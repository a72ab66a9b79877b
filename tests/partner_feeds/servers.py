"""Servers of partners' files that do whatever a test wants, and a network where they have names."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl

Reply = bytes | Callable[[socket.socket], object]

HOST = "feeds.example.com"
OTHER = "cdn.example.net"
PUBLIC = "93.184.215.14"
LARGEST = 64 * 1024  # of a request


def ok(body: bytes, *headers: str, length: int | None = None) -> bytes:
    return answer("200 OK", *headers, f"Content-Length: {length or len(body)}", body=body)


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    head = "\r\n".join((f"HTTP/1.1 {status}", *headers))
    return head.encode() + b"\r\n\r\n" + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    return answer(status, f"Location: {location}", "Content-Length: 0")


def endless(piece: bytes, start: bytes = b"") -> Callable[[socket.socket], None]:
    """Return a reply that goes on until nobody reads it."""

    def send(client: socket.socket) -> None:
        client.sendall(start)
        while True:
            client.sendall(piece)

    return send


def dribble(start: bytes) -> Callable[[socket.socket], None]:
    """Return a reply that goes on byte by byte, so that no single wait is long."""
    never = threading.Event()

    def send(client: socket.socket) -> None:
        client.sendall(start)
        while not never.wait(0.01):
            client.sendall(b"x")

    return send


class Server:
    """Gives each path its reply, and keeps the requests."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.replies: dict[str, Reply] = {}
        self.requests: list[str] = []
        self.ended = threading.Event()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def __getitem__(self, path: str) -> Reply:
        return self.replies[path]

    def __setitem__(self, path: str, reply: Reply) -> None:
        self.replies[path] = reply

    @property
    def paths(self) -> list[str]:
        return [request.split(" ", 2)[1] for request in self.requests]

    def headers(self, number: int = -1) -> dict[str, str]:
        lines = self.requests[number].split("\r\n")[1:]
        return dict(line.split(": ", 1) for line in lines if line)

    def close(self) -> None:
        self.ended.set()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
            request = b""
            while b"\r\n\r\n" not in request and len(request) < LARGEST:
                request += client.recv(LARGEST) or b"\r\n\r\n"
            self.requests.append(request.decode())
            reply = self.replies.get(self.paths[-1], answer("404 Not Found", "Content-Length: 0"))
            with client:
                if callable(reply):
                    reply(client)
                else:
                    client.sendall(reply)


@dataclass
class Network:
    """Names and their addresses; every connection leads to a server of the test."""

    hosts: dict[str, list[str]] = field(default_factory=dict)
    looked_up: list[str] = field(default_factory=list)
    connected: list[tuple[str, int]] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)

    def look_up(self, host: str, port: int) -> list[Any]:
        self.looked_up.append(host)
        if host not in self.hosts:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET6 if ":" in ip else socket.AF_INET, 1, 6, "", (ip, port))
            for ip in self.hosts[host]
        ]

    def connect(self, address: tuple[str, int], timeout: float) -> socket.socket:
        self.connected.append(address)
        if address[0] in self.dead:
            raise ConnectionRefusedError(111, "Connection refused")
        client = socket.socket()
        client.settimeout(timeout)
        client.connect(("127.0.0.1", address[1]))
        return client
