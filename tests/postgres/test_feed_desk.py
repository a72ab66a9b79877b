"""Staff who decide on the same file at the same moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django_q.models import OrmQ

from partner_feeds.models import Ingestion
from tests.fuzz.twice import twice_at_once
from tests.partner_feeds.desks import held, logged_in, path, staff
from tests.partner_feeds.taking_in import FILE, make_partner, take_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpResponse

pytestmark = pytest.mark.django_db(transaction=True)


def sender(ingestion: Ingestion, action: str) -> Callable[[], HttpResponse]:
    """Return what presses a button; each thread has a client of its own."""
    staff("merchandiser")
    user = User.objects.get(username="merchandiser")
    clients = [logged_in(user) for _ in range(2)]

    def send() -> HttpResponse:
        data = {"action": action, "reason": "Confirmed."}
        return clients.pop().post(path(ingestion), data)  # type: ignore[return-value]

    return send


@pytest.mark.parametrize(("action", "status"), [("apply", "APPLYING"), ("discard", "DISCARDED")])
def test_a_held_file_is_decided_once(action: str, status: str) -> None:
    ingestion = held(make_partner())
    results, met = twice_at_once(sender(ingestion, action))
    assert sorted(result.status_code for result in results) == [302, 409]
    assert met
    ingestion.refresh_from_db()
    assert ingestion.status == status
    assert LogEntry.objects.count() == 1
    assert OrmQ.objects.count() == (1 if action == "apply" else 0)


def test_a_file_is_taken_back_once() -> None:
    done = take_in(make_partner(), FILE)
    results, met = twice_at_once(sender(done, "take_back"))
    assert sorted(getattr(result, "status_code", 500) for result in results) == [302, 409]
    assert met
    assert Ingestion.objects.filter(takes_back=done).count() == 1
    assert (LogEntry.objects.count(), OrmQ.objects.count()) == (1, 1)
