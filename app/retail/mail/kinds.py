"""The kinds of e-mail. Each app declares its own, beside the events that they tell of."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from retail.models import Email
from retail.observability.context import current_request_id

if TYPE_CHECKING:
    from collections.abc import Callable

    Compose = Callable[[Email], "Content | None"]


class Content(NamedTuple):
    """What an e-mail says, and to whom."""

    recipient: str
    subject: str
    text: str


class EmailKind:
    """A kind of e-mail. Its content is composed when it is sent, so the outbox stores no text.

    `compose` returns None if there is nobody to write to. It runs again at each attempt. `sent`
    runs once the mail server has accepted it.
    """

    def __init__(
        self, name: str, compose: Compose, sent: Callable[[Email], object] | None = None
    ) -> None:
        self.name, self.compose, self.sent = name, compose, sent
        registered[name] = self

    def write(self, *, about: str, **context: object) -> None:
        """Put an e-mail into the outbox, in the current transaction, unless one is waiting there.

        `about` is an id or a reference. `context` is what `compose` cannot read elsewhere; it is
        kept as long as the row, so it must hold no secret.
        """
        email = Email(kind=self.name, about=about, context=context, request_id=current_request_id())
        Email.objects.bulk_create([email], ignore_conflicts=True)


registered: dict[str, EmailKind] = {}
