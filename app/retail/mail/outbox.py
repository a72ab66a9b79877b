"""The outbox: claim an e-mail, send it, store the outcome (ADR 19).

Claiming an e-mail moves its `due_at` ahead by a lease, and so does handing its text over, so that
no two workers ever send the same e-mail at once. `attempts` shows whose claim is the latest.
"""

from __future__ import annotations

import logging
import smtplib
from datetime import timedelta
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.mail import get_connection
from django.db import Error, connection, transaction
from django.db.models import Count, F, Min
from django.utils import timezone

from retail.db.reads import bounded_read
from retail.mail import files
from retail.mail.kinds import registered
from retail.mail.smtp import EmailBackend, NoAnswerError, OutgoingEmail
from retail.models import Email
from retail.observability.context import accepted_request_id, request_context
from retail.observability.prometheus import catalogue

if TYPE_CHECKING:
    from datetime import datetime

    from django.db.models import QuerySet

    from retail.mail.kinds import Content
    from retail.observability.prometheus.instruments import DatabaseGauge

SENDERS = 4  # threads of a worker, so that one slow answer does not hold up everything
KEEP_TRYING = timedelta(days=1)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(minutes=15)
# The server was given the text and did not answer: it may have accepted it. One more attempt.
UNANSWERED_WAIT, MOST_UNANSWERED = timedelta(hours=1), 2
LEASE_MARGIN = timedelta(seconds=60)  # beyond the time that a conversation may take
RECORD_SECONDS = 600  # how long to wait for the database with an outcome

State = Email.State
LOST = (State.GIVEN_UP, State.UNCERTAIN)  # as far as anyone knows
_LEVELS = {**dict.fromkeys(LOST, logging.ERROR), State.REFUSED: logging.WARNING}

logger = logging.getLogger("retail.mail")


class LostClaimError(Exception):
    """Another worker has claimed the e-mail, or it has ended."""


def waiting() -> QuerySet[Email]:
    """Return the e-mails that have not ended."""
    return Email.objects.filter(state=State.WAITING)


def untried() -> QuerySet[Email]:
    """Return the e-mails that have not been claimed; they were due when they were written."""
    return waiting().filter(attempts=0)


def longest_wait() -> timedelta:
    """Return the longest time after which a waiting e-mail is due again."""
    answer = timedelta(seconds=settings.EMAIL_ANSWER_TIMEOUT) + LEASE_MARGIN
    return max(UNANSWERED_WAIT, answer)


def claim(now: datetime) -> Email | None:
    """Claim the e-mail that has been due the longest, if any, for the length of a lease."""
    if not waiting().filter(due_at__lte=now).exists():  # most polls end here, without a transaction
        return None
    with transaction.atomic():
        rows = waiting().select_for_update(skip_locked=True, of=("self",))
        email = rows.filter(due_at__lte=now).order_by("due_at").first()
        if email is None:
            return None
        email.attempts += 1
        email.due_at = now + timedelta(seconds=settings.EMAIL_TIMEOUT) + LEASE_MARGIN
        email.save(update_fields=["attempts", "due_at"])
        return email


def send_next() -> int:
    """Send the e-mail that has been due the longest; return how many there were: 0 or 1."""
    email = claim(timezone.now())
    if email is None:
        return 0
    with request_context(accepted_request_id(email.request_id)):
        if email.unanswered >= MOST_UNANSWERED:  # a worker died with it, twice
            _end(email, State.UNCERTAIN)
        else:
            _send(email)
    return 1


def _claimed(email: Email) -> QuerySet[Email]:
    """Return a queryset of the e-mail if this worker's claim is the latest."""
    return waiting().filter(pk=email.pk, attempts=email.attempts)


def _send(email: Email) -> None:
    unanswered = email.unanswered
    try:
        content = registered[email.kind].compose(email)
        if content is not None:
            _deliver(email, content)
    except LostClaimError:
        logger.warning("event=email.claim_lost", extra=_fields(email))
    except NoAnswerError as error:
        _try_again(email, error, UNANSWERED_WAIT)
    except OSError as error:  # SMTPException is one
        email.unanswered = unanswered  # an answer, or none before it had the text
        if _is_final(error):
            _end(email, State.REFUSED, error)
        else:
            _try_again(email, error, _wait(email))
    except Exception as error:
        # A template, the database: whatever it is, other e-mails go on.
        email.unanswered = unanswered
        logger.exception("event=email.failed", extra=_fields(email))
        _try_again(email, error, _wait(email))
    else:
        _end(email, State.NOT_NEEDED if content is None else State.SENT)


def _deliver(email: Email, content: Content) -> None:
    """Give an e-mail to the mail server."""
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].rstrip("> ")
    message = OutgoingEmail(
        subject=content.subject,
        body=content.text,
        to=[content.recipient],
        # A server or a mailbox that knows it drops the second of two.
        headers={"Message-ID": f"<{email.message_id.hex}@{domain}>"},
        connection=(backend := get_connection()),
    )
    message.before_text = lambda: _before_text(email)
    if not isinstance(backend, EmailBackend):  # it does not call it
        message.before_text()
    try:
        message.send()
    finally:
        backend.close()  # a connection that failed half-way


def _before_text(email: Email) -> None:
    """Store that the server gets the text now, unless another worker has claimed the e-mail."""
    lease = timedelta(seconds=settings.EMAIL_ANSWER_TIMEOUT) + LEASE_MARGIN
    handed_over = _claimed(email).update(
        unanswered=F("unanswered") + 1, due_at=timezone.now() + lease
    )
    if not handed_over:
        raise LostClaimError
    email.unanswered += 1


def _is_final(error: OSError) -> bool:
    """Whether the server will never accept this e-mail for its recipient.

    Other refusals, of the sender or the log-in, can be mended here.
    """
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())  # noqa: PLR2004 - RFC 5321
    return isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500  # noqa: PLR2004 - as above


def _wait(email: Email) -> timedelta:
    """Return the pause after the latest attempt: doubled each time, up to LONGEST_WAIT."""
    doubled: int = 2 ** min(email.attempts - 1, 10)
    return min(FIRST_WAIT * doubled, LONGEST_WAIT)


def _try_again(email: Email, error: Exception, wait: timedelta) -> None:
    """Make an e-mail due after a pause, or end it if it has been tried enough."""
    now = timezone.now()
    if email.unanswered >= MOST_UNANSWERED:
        _end(email, State.UNCERTAIN, error)
    elif now - email.created_at >= KEEP_TRYING:
        _end(email, State.GIVEN_UP, error)
    else:
        text = _text(error)
        _record(email, unanswered=email.unanswered, due_at=now + wait, last_error=text)
        catalogue.EMAILS.inc(outcome="deferred")
        fields = {**_fields(email), "error": text, "again_in_seconds": wait.total_seconds()}
        logger.warning("event=email.deferred", extra=fields)


def _end(email: Email, state: Email.State, error: Exception | None = None) -> None:
    """Store how an e-mail ended, and report it."""
    text = _text(error) if error else email.last_error
    _record(
        email,
        state=state,
        unanswered=email.unanswered,
        last_error=text,
        ended_at=timezone.now(),
    )
    catalogue.EMAILS.inc(outcome=state.value)
    fields = {**_fields(email), "outcome": state.value, "error": text}
    logger.log(_LEVELS.get(state, logging.INFO), "event=email.ended", extra=fields)
    if state == State.SENT and (report := registered[email.kind].sent):
        try:
            report(email)
        except Exception:  # it is sent all the same
            logger.exception("event=email.failed", extra=_fields(email))


def _record(email: Email, **values: Any) -> None:
    """Store the outcome of an attempt. Without a database, wait for it.

    An e-mail that the server has accepted must not be sent again because nobody wrote it down.
    """
    until = monotonic() + RECORD_SECONDS
    while True:
        try:
            _claimed(email).update(**values)
        except Error:
            if connection.in_atomic_block or monotonic() > until:
                raise
            logger.warning("event=email.not_recorded", extra=_fields(email))
            connection.close()
            sleep(1)
        else:
            return


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]


def _fields(email: Email) -> dict[str, Any]:
    return {"kind": email.kind, "about": email.about, "attempt": email.attempts}


def send_again(emails: QuerySet[Email]) -> int:
    """Put e-mails that ended without being accepted into the outbox again; return how many.

    Not if a newer one of the same kind waits for the same subject.
    """
    count = 0
    for email in emails.filter(state__in=(*LOST, State.REFUSED)):
        again = Email(
            kind=email.kind, about=email.about, context=email.context,
            message_id=email.message_id, request_id=email.request_id,
        )  # fmt: skip
        with transaction.atomic():
            if Email.objects.filter(pk=email.pk, state=email.state).delete()[0]:
                Email.objects.bulk_create([again], ignore_conflicts=True)
                count += 1
    return count


def read_waiting() -> dict[DatabaseGauge, dict[tuple[str, ...], float]]:
    """Return the number of e-mails that wait, and the age of the oldest in seconds."""
    with bounded_read():
        found = waiting().aggregate(count=Count("pk"), oldest=Min("created_at"))
    age = timezone.now() - found["oldest"] if found["oldest"] else timedelta(0)
    return {
        catalogue.EMAILS_WAITING: {(): found["count"]},
        catalogue.EMAILS_OLDEST_WAITING: {(): max(age.total_seconds(), 0)},
    }


def prune(now: datetime) -> int:
    """Delete e-mails that ended, or were written to files, EMAIL_KEEP_DAYS ago; return how many."""
    before = now - timedelta(days=settings.EMAIL_KEEP_DAYS)
    return Email.objects.filter(ended_at__lt=before).delete()[0] + files.prune(before)
