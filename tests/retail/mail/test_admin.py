"""Staff may send e-mails again that were not accepted, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from retail.models import Email
from tests.support import make_buyer, send_emails

if TYPE_CHECKING:
    from django.test import Client

    from retail.mail.kinds import EmailKind
    from tests.retail.mail.server import MailServer

pytestmark = pytest.mark.django_db
LIST = "/admin/retail/email/"
ENDED = ("given_up", "uncertain", "refused", "sent", "not_needed")


def create_emails() -> list[str]:
    """Create an e-mail in each state; return their ids."""
    for state in ENDED:
        Email.objects.create(kind="note", about=state, state=state, ended_at=timezone.now())
    Email.objects.create(kind="note", about="waiting", due_at=timezone.now().replace(year=2099))
    return [str(pk) for pk in Email.objects.values_list("pk", flat=True)]


def send_again(client: Client, ids: list[str]) -> int:
    response = client.post(LIST, {"action": "send_again", "_selected_action": ids})
    return response.status_code


def test_what_was_not_accepted_can_be_sent_again(
    admin_client: Client, server: MailServer, note: EmailKind
) -> None:
    ids = create_emails()
    message_id = Email.objects.get(about="uncertain").message_id.hex
    Email.objects.filter(about="waiting").update(due_at=timezone.now().replace(year=2020))
    assert send_again(admin_client, ids) == 302
    assert send_emails() == 4
    recipients = {str(message["To"]).partition("@")[0] for message in server.messages}
    assert recipients == {"given_up", "uncertain", "refused", "waiting"}
    assert any(message_id in message["Message-ID"] for message in server.messages)
    assert set(Email.objects.values_list("state", flat=True)) == {"sent", "not_needed"}


def test_who_may_only_look_cannot_send(client: Client, note: EmailKind) -> None:
    viewer = make_buyer("viewer")
    viewer.is_staff = True
    viewer.save()
    viewer.user_permissions.add(Permission.objects.get(codename="view_email"))
    client.force_login(viewer)
    ids = create_emails()
    before = list(Email.objects.order_by("pk").values())
    assert client.get(LIST).status_code == 200
    send_again(client, ids)
    assert list(Email.objects.order_by("pk").values()) == before


def test_the_dashboards_link_lists_what_was_lost(admin_client: Client, note: EmailKind) -> None:
    create_emails()
    response = admin_client.get(LIST, {"state__in": "given_up,uncertain"})
    rows = response.context["cl"].result_list
    assert {email.about for email in rows} == {"given_up", "uncertain"}
