"""Django's SMTP backend with an end to every conversation, and no doubt about what was accepted."""

from __future__ import annotations

import re
import smtplib
from time import monotonic
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends import smtp

from retail.sockets import bind, bounded

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from contextlib import AbstractContextManager

MOST_BYTES = 64 * 1024  # of a reply
QUIT_SECONDS = 5
START_INPUT, ACCEPTED, FAILED = 354, range(200, 300), range(400, 600)


class NoAnswerError(smtplib.SMTPException):
    """The server did not answer after it was given the text. It may have accepted the e-mail."""


class OutgoingEmail(EmailMessage):
    """An e-mail that calls `before_text` just before its text is handed over.

    If that raises, the text is not handed over.
    """

    before_text: Callable[[], object] = staticmethod(lambda: None)


class Conversation(smtplib.SMTP):
    """An SMTP connection that ends by the wall clock, however the server spreads its bytes.

    The whole of it has EMAIL_TIMEOUT seconds; the answer to the text has EMAIL_ANSWER_TIMEOUT.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self.before_text: Callable[[], object] = OutgoingEmail.before_text
        self._limit(settings.EMAIL_TIMEOUT)
        super().__init__(*args, **options)

    def _limit(self, seconds: float) -> None:
        self._until = monotonic() + seconds

    def _bounded(self) -> AbstractContextManager[None]:
        return bounded(seconds=self._until - monotonic(), size=MOST_BYTES)

    def _get_socket(self, *args: Any) -> socket.socket:
        return bind(super()._get_socket(*args))  # type: ignore[misc]  # as smtplib's own SMTP_SSL does

    def starttls(self, *args: Any, **options: Any) -> tuple[int, bytes]:
        """Encrypt the connection."""
        reply = super().starttls(*args, **options)
        if self.sock is not None:
            bind(self.sock)
        return reply

    def send(self, s: Any) -> None:
        """Send within the deadline."""
        with self._bounded():
            super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        """Return the server's reply, read within the deadline."""
        with self._bounded():
            return super().getreply()

    def data(self, msg: Any) -> tuple[int, bytes]:
        """Hand the text over. Raises NoAnswerError if the server may have accepted it.

        It may only if it has everything, the final dot included.
        """
        self.putcmd("data")
        code, reply = self.getreply()
        if code != START_INPUT:
            raise smtplib.SMTPDataError(code, reply)
        self.before_text()
        lines = re.sub(rb"(?m)^\.", b"..", msg)  # a line with only a dot would end the text
        self.send(lines + (b"" if lines.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        self._limit(settings.EMAIL_ANSWER_TIMEOUT)
        try:
            code, reply = self.getreply()
        except OSError as error:
            raise NoAnswerError(str(error)) from error
        if code in ACCEPTED:
            return 250, reply  # the only one that smtplib takes for acceptance
        if code not in FAILED:
            raise NoAnswerError("no valid answer")
        self._limit(QUIT_SECONDS)
        return code, reply

    def leave(self) -> None:
        """End the conversation. It changes nothing, so it takes no longer than QUIT_SECONDS."""
        self._limit(QUIT_SECONDS)
        try:
            self.quit()
        except OSError:
            self.close()


class EmailBackend(smtp.EmailBackend):
    """Sends each e-mail in a Conversation."""

    @property
    def connection_class(self) -> type[Conversation]:
        """The class of connections."""
        return Conversation

    def _send(self, email_message: EmailMessage) -> bool:
        assert isinstance(self.connection, Conversation)  # noqa: S101 - for the type checker
        if isinstance(email_message, OutgoingEmail):
            self.connection.before_text = email_message.before_text
        return super()._send(email_message)  # type: ignore[misc, no-any-return]

    def _close_connection(self, connection: Conversation) -> None:
        # Whatever the server says to QUIT, what it has accepted it has.
        connection.leave()
