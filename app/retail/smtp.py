"""SMTP with an end: a mail server that answers a byte at a time cannot hold a worker."""

from __future__ import annotations

import smtplib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.mail.backends import smtp

from retail.sockets import bind, bounded

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from django.core.mail import EmailMessage

    _Smtp = smtplib.SMTP
else:
    _Smtp = object

REPLIES_SIZE = 256 * 1024  # bytes of all replies, far more than they have
QUIT_SECONDS = 2


class _BoundSockets(_Smtp):
    """Binds the sockets that smtplib creates."""

    def _get_socket(self, *args: Any) -> socket.socket:
        return bind(super()._get_socket(*args))  # type: ignore[misc]  # as smtplib's own SMTP_SSL does

    def starttls(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        """Encrypt the connection."""
        reply = super().starttls(*args, **kwargs)
        if self.sock is not None:
            bind(self.sock)
        return reply


class _Plain(_BoundSockets, smtplib.SMTP):
    pass


class _Tls(_BoundSockets, smtplib.SMTP_SSL):
    pass


class EmailBackend(smtp.EmailBackend):
    """Django's SMTP backend; sending takes at most EMAIL_DEADLINE seconds in all."""

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        """Return the class of the connection."""
        return _Tls if self.use_ssl else _Plain

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Send e-mails over one connection."""
        with bounded(seconds=settings.EMAIL_DEADLINE, size=REPLIES_SIZE):
            return super().send_messages(email_messages)

    def _close_connection(self, connection: smtplib.SMTP) -> None:
        """Say goodbye. The server has accepted the e-mails: what it answers now changes nothing."""
        with suppress(OSError), bounded(seconds=QUIT_SECONDS):
            connection.quit()
        with suppress(OSError):
            connection.close()
