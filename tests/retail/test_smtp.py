"""Sending e-mail ends, however slowly a mail server answers; what it has accepted is sent."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from smtplib import SMTPServerDisconnected
from typing import TYPE_CHECKING

import pytest
from django.core.mail import EmailMessage, get_connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django import Settings

    Reply = Callable[[socket.socket], None]

PATIENCE = 60  # seconds; nothing is asserted about speed
STEPS = ("greeting", "ehlo", "mail", "rcpt", "data", "message", "quit")
USUAL = {
    "greeting": b"220 ready\r\n",
    "ehlo": b"250 fine\r\n",
    "mail": b"250 fine\r\n",
    "rcpt": b"250 fine\r\n",
    "data": b"354 go on\r\n",
    "message": b"250 accepted\r\n",
    "quit": b"221 bye\r\n",
}


def saying(text: bytes) -> Reply:
    return lambda connection: connection.sendall(text)


def trickling(connection: socket.socket) -> None:
    """Reply a byte at a time, for 20 seconds."""
    connection.settimeout(0.05)
    for byte in b"250-" + b"a" * 390 + b"\r\n250 ok\r\n":
        connection.sendall(bytes([byte]))
        with suppress(TimeoutError):
            if connection.recv(1) == b"":
                return
    connection.settimeout(PATIENCE)


def flooding(connection: socket.socket) -> None:
    """Reply with lines that announce another one, 8 MB of them, then with the last."""
    for _ in range(8 * 1024):
        connection.sendall((b"250-" + b"a" * 60 + b"\r\n") * 16)
    connection.sendall(b"250 ok\r\n")


def silence(connection: socket.socket) -> None:
    connection.recv(1)


@contextmanager
def mail_server(settings: Settings, **replies: Reply) -> Iterator[list[bytes]]:
    """Serve one connection, with the usual replies but for those given; yield what it accepted."""
    accepted: list[bytes] = []

    def read(connection: socket.socket, end: bytes) -> bytes:
        received = b""
        while not received.endswith(end):
            if not (piece := connection.recv(65536)):
                raise OSError("the client has gone")
            received += piece
        return received

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.settimeout(PATIENCE)
            for step in STEPS:
                if step != "greeting":
                    said = read(connection, b"\r\n.\r\n" if step == "message" else b"\r\n")
                if step == "message":
                    accepted.append(said)
                replies.get(step, saying(USUAL[step]))(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", listener.getsockname()[1]
        yield accepted
        thread.join()


def send() -> int:
    connection = get_connection("retail.smtp.EmailBackend")
    return EmailMessage("Hello", "text", "a@b.c", ["d@e.f"], connection=connection).send()


def test_an_email_is_sent(settings: Settings) -> None:
    with mail_server(settings) as accepted:
        assert send() == 1
    [message] = accepted
    assert b"Subject: Hello" in message


@pytest.mark.parametrize("step", [step for step in STEPS if step != "quit"])
def test_a_server_that_answers_a_byte_at_a_time_is_given_up(settings: Settings, step: str) -> None:
    settings.EMAIL_DEADLINE = 0.5
    slow = "timed out|too long in all"
    with (
        mail_server(settings, **{step: trickling}),
        pytest.raises(SMTPServerDisconnected, match=slow),
    ):
        send()


@pytest.mark.parametrize("step", ["greeting", "ehlo", "message"])
def test_a_server_that_answers_without_end_is_given_up(settings: Settings, step: str) -> None:
    with (
        mail_server(settings, **{step: flooding}),
        pytest.raises(SMTPServerDisconnected, match="sent too much"),
    ):
        send()


@pytest.mark.parametrize(
    "goodbye", [silence, trickling, saying(b"500 no\r\n"), socket.socket.close]
)
def test_an_accepted_email_is_sent_whatever_the_goodbye(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, goodbye: Reply
) -> None:
    monkeypatch.setattr("retail.smtp.QUIT_SECONDS", 0.3)
    with mail_server(settings, quit=goodbye) as accepted:
        assert send() == 1
    assert len(accepted) == 1
