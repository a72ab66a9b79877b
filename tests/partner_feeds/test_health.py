"""The health check of partner feeds: each state, its text and its step."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from partner_feeds.health import partner_feeds
from partner_feeds.models import Ingestion, Partner
from retail.health import Finding, Harm, health
from retail.thresholds import THRESHOLDS
from tests.dashboards.support import checks

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db

NOW = timezone.now()
LATE = THRESHOLDS.held_feeds.most_age_seconds


def another(partner: Partner, name: str, **fields: object) -> Partner:
    return Partner.objects.create(name=name, slug=name.lower(), category=partner.category, **fields)


def promised(partner: Partner, within: int, seconds: float) -> None:
    at = NOW - timedelta(seconds=seconds)
    rows = Partner.objects.filter(pk=partner.pk)
    rows.update(fresh_within_minutes=within, promised_at=at)


def ended(partner: Partner, status: str, seconds: float, **fields: object) -> Ingestion:
    at = NOW - timedelta(seconds=seconds)
    return Ingestion.objects.create(
        partner=partner, status=status, created_at=at, finished_at=at, **fields
    )


def held(partner: Partner, seconds: float) -> None:
    at = NOW - timedelta(seconds=seconds)
    Ingestion.objects.create(partner=partner, status="HELD", created_at=at, read_at=at)


def short(finding: Finding) -> tuple[str, str, str]:
    return finding.state, finding.word, finding.runbook


def test_without_an_active_partner(partner: Partner) -> None:
    Partner.objects.update(is_active=False, fresh_within_minutes=5)
    promised(partner, 5, 9999)
    held(partner, 2 * LATE)
    assert short(partner_feeds(NOW)) == ("calm", "none", "")


def test_on_time(partner: Partner) -> None:
    promised(partner, 10, 600)
    ended(another(partner, "Bolt"), "DONE", 999)
    finding = partner_feeds(NOW)
    assert short(finding) == ("good", "on time", "")
    assert finding.detail == "2 active partners, none of them late."


def test_late_the_latest_first(partner: Partner) -> None:
    promised(partner, 10, 601)
    bolt = another(partner, "Bolt")
    promised(bolt, 60, 99_999)
    last = ended(bolt, "DONE", 3 * 3600)
    ended(bolt, "FAILED", 60)
    held(partner, 2 * LATE)
    finding = partner_feeds(NOW)
    assert short(finding) == ("bad", "late", "RetailFeedStale")
    assert finding.detail == "Nothing was taken in from Bolt for 3 h."
    assert finding.affected == "products of Bolt, Acme"
    assert finding.since == last.finished_at


def test_late_without_any_file_since_the_promise(partner: Partner) -> None:
    promised(partner, 10, 1200)
    assert partner_feeds(NOW).since == NOW - timedelta(seconds=1200)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(LATE, ("warn", "held", "")), (LATE + 1, ("bad", "held", "RetailFeedHeld"))],
)
def test_held(partner: Partner, seconds: float, expected: tuple[str, str, str]) -> None:
    held(partner, seconds)
    held(another(partner, "Bolt"), 5)
    ended(another(partner, "Cup"), "FAILED", 1)
    finding = partner_feeds(NOW)
    assert short(finding) == expected
    assert finding.detail.startswith("2 files held until staff decide: Acme, Bolt.")


def test_many_partners_are_not_all_named(partner: Partner) -> None:
    for number, name in enumerate(("Bolt", "Cup", "Dish", "Egg")):
        held(another(partner, name), 50 - number)
    assert partner_feeds(NOW).detail == (
        "4 files held until staff decide: Bolt, Cup, Dish and 1 more."
    )


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (("DONE", "FAILED"), ("warn", "refused", "")),
        (("FAILED", "DONE"), ("good", "on time", "")),
        (("FAILED", "UNCHANGED"), ("good", "on time", "")),
    ],
)
def test_refused(
    partner: Partner, statuses: tuple[str, ...], expected: tuple[str, str, str]
) -> None:
    for number, status in enumerate(statuses):
        ended(partner, status, 100 - number)
    assert short(partner_feeds(NOW)) == expected


def test_a_take_back_is_no_file(partner: Partner) -> None:
    first = ended(partner, "FAILED", 100)
    ended(partner, "DONE", 50, takes_back=first)
    assert partner_feeds(NOW).detail == "The last file of Acme was refused."


def test_staff_see_it_with_a_link(partner: Partner, staff: Client) -> None:
    ended(partner, "FAILED", 100)
    assert checks(staff)["Partner feeds"] == "warn: refused The last file of Acme was refused."
    [check] = [check for check in health(NOW) if check.name == "Partner feeds"]
    assert check.harm == Harm.BACKGROUND
    assert check.finding.link == "/desk/feeds/"
