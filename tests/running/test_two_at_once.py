"""Two processes that look for a row at the same time, and create it if it is missing.

Each case names what holds it to one row: a constraint, or a lock where another program's table has
none. `tests/contracts/test_written_once.py` finds the calls that need one.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.running.support import APP, CONSOLE, RunningShop

ROUNDS = 5
SHOP = """
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from django_q.models import Schedule
import accounts.services
from accounts.models import Notice, UserProfile
from accounts.services import profile_save_delivery
from cart.models import Cart, CartItem
from cart.services import cart_add, cart_of_user, cart_of_visitor
from oncall.models import Alert, AlertFeed
from payments import breaker
from payments.models import CircuitBreaker
from products.models import Category, Product
from orders.announcements import CONFIRMED
from quality.models import VerdictInterval
from quality.tasks import judge_scenarios
from retail import jobs
from retail.audit import runner
from retail.history import rollups
from retail.mail.kinds import EmailKind
from retail.models import AuditCheck, AuditViolation, Email
from retail.models import JobSuccess, MetricRollup, RollupMark, WorkerHeartbeat
from tests.oncall.support import alert, receive
from tests.running.meeting import meeting
"""


class Case(NamedTuple):
    """What two processes do at once after `before`, and what must be true then."""

    before: str
    both: str
    after: str
    refusal: str = ""  # what one of them may be told instead


USER = "User.objects.get_or_create(username='anna')[0]"
CASES = {
    # django-q's Schedule.name is not unique: a lock on the rows of JobSuccess.
    "schedules": Case(
        "Schedule.objects.all().delete()",
        "jobs.write_schedules()",
        "sorted(Schedule.objects.values_list('name', flat=True)) == sorted("
        "name for name, job in jobs.declared.items() if job.every_minutes)",
    ),
    # Unique: Cart.user.
    "the cart of a customer": Case(
        f"Cart.objects.all().delete(); {USER}",
        f"cart_of_user(user_id={USER}.pk)",
        "Cart.objects.count() == 1",
    ),
    # Unique: Cart.visitor.
    "the cart of a visitor": Case(
        "Cart.objects.all().delete()",
        "cart_of_visitor(session_key='abc')",
        "Cart.objects.count() == 1",
    ),
    # Unique: CartItem's cart and product; and a lock on the cart.
    "a line of a cart": Case(
        f"Cart.objects.all().delete(); cart_of_user(user_id={USER}.pk)",
        "cart_add(cart=Cart.objects.get(), product_id=Product.objects.first().pk, quantity=1)",
        "[item.quantity for item in CartItem.objects.all()] == [2]",
    ),
    # Unique: UserProfile.user.
    "a profile": Case(
        f"UserProfile.objects.all().delete(); {USER}",
        f"profile_save_delivery(user_id={USER}.pk, full_name='Anna', address='1 Street')",
        "[profile.full_name for profile in UserProfile.objects.all()] == ['Anna']",
    ),
    # Primary keys: the worker's name, the task, the invariant, the breaker's name, and 1.
    "a heartbeat": Case(
        "WorkerHeartbeat.objects.all().delete()",
        "WorkerHeartbeat.objects.update_or_create("
        "worker='w', defaults={'seen_at': timezone.now()})",
        "WorkerHeartbeat.objects.count() == 1",
    ),
    "the last success of a job": Case(
        "JobSuccess.objects.all().delete()",
        "jobs.record_success('prune_carts')",
        "JobSuccess.objects.count() == 1",
    ),
    "an audit": Case(
        "AuditCheck.objects.all().delete()",
        "runner.audit(['ledger_equals_stock'])",
        "AuditCheck.objects.count() == 1",
    ),
    "the breaker": Case(
        "CircuitBreaker.objects.all().delete()",
        "breaker.is_closed()",
        "CircuitBreaker.objects.count() == 1",
    ),
    # And unique: MetricRollup's period, start and type. On the hour there would be no row yet.
    "rollups": Case(
        "RollupMark.objects.all().delete(); MetricRollup.objects.all().delete()",
        "rollups.roll_up(timezone.now().replace(minute=30))",
        "RollupMark.objects.count() == 1",
    ),
    # Unique: VerdictInterval's scenario and start.
    "verdicts": Case(
        "VerdictInterval.objects.all().delete()",
        "judge_scenarios()",
        "VerdictInterval.objects.count() == "
        "len(set(VerdictInterval.objects.values_list('scenario', 'since'))) > 0",
    ),
    # AlertFeed: primary key 1, which is also the lock; unique: Alert's fingerprint and start.
    "an alert": Case(
        "AlertFeed.objects.all().delete(); Alert.objects.all().delete()",
        "receive(1, alert())",
        "(AlertFeed.objects.count(), Alert.objects.count()) == (1, 1)",
    ),
    # Unique: Category.name, Category.slug, Product.slug.
    "sample products": Case(
        "CartItem.objects.all().delete(); Product.objects.all().delete(); "
        "Category.objects.all().delete()",
        "call_command('populate_products')",
        "(Category.objects.count(), Product.objects.count()) == (4, 10)",
    ),
    # Unique: User.username.
    "the admin": Case(
        "User.objects.filter(username='admin').delete()",
        "call_command('create_admin')",
        "User.objects.filter(username='admin').count() == 1",
        "already exists",
    ),
}


class Meeting(NamedTuple):
    """A function that both processes begin when the other has come there too, and its guard."""

    before: str
    both: str
    after: str
    function: str  # its owner and its name
    guard: tuple[str, str]  # a part of its code, and what stands there without the guard


MEETINGS = {
    # Both audits have found it. The first result stored wins; and unique: invariant and subject.
    "an open violation": Meeting(
        "AuditViolation.objects.all().delete(); AuditCheck.objects.all().delete()\n"
        "product = Product.objects.first()\n"
        "Product.objects.filter(pk=product.pk).update(stock=product.stock + 1)",
        "problem = runner.audit(['ledger_equals_stock'])[0].problem; assert not problem, problem",
        "AuditViolation.objects.count() == 1",
        "runner, '_store'",
        (", version=check.version", ""),
    ),
    # Unique: Email's kind and subject, while it waits.
    "an e-mail in the outbox": Meeting(
        "Email.objects.all().delete()",
        "CONFIRMED.write(about='VT-TWICE')",
        "[email.about for email in Email.objects.all()] == ['VT-TWICE']",
        "EmailKind, 'write'",
        ("ignore_conflicts=True", ""),
    ),
    # Unique: Notice's user and link.
    "a notice": Meeting(
        f"Notice.objects.all().delete(); {USER}",
        f"accounts.services.notice_add(user_id={USER}.pk, is_good=True, text='Hello', link='/x/')",
        "[notice.text for notice in Notice.objects.all()] == ['Hello']",
        "accounts.services, 'notice_add'",
        ("update_conflicts=True", "update_conflicts=False"),
    ),
}


class Pair:
    """Two processes of the shop."""

    def __init__(self, shop: RunningShop) -> None:
        self.both = [
            subprocess.Popen(
                [sys.executable, "-c", CONSOLE],
                cwd=APP,
                env=shop.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for _ in range(2)
        ]

    def at_once(self, code: str) -> list[str]:
        """Let both run it; return their errors."""
        for process in self.both:
            assert process.stdin is not None
            process.stdin.write(json.dumps(["exec", code]) + "\n")
        for process in self.both:  # both have loaded what they need by the time this arrives
            assert process.stdin is not None
            process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for process in self.both if process.stdout]
        return [answer["error"] for answer in answers if "error" in answer]

    def close(self) -> None:
        """End both."""
        for process in self.both:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    opened = RunningShop(tmp_path_factory.mktemp("shop"), {"THROTTLE_CHECKOUT_LIMIT": "1000"})
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pair(shop: RunningShop) -> Iterator[Pair]:
    started = Pair(shop)
    assert started.at_once(SHOP) == []  # loads it all
    yield started
    started.close()


@pytest.mark.parametrize("name", CASES)
def test_two_processes_at_once_make_one_row(shop: RunningShop, pair: Pair, name: str) -> None:
    case = CASES[name]
    for _ in range(ROUNDS):
        shop.run(SHOP + case.before)
        errors = pair.at_once(SHOP + case.both)
        assert [error for error in errors if not case.refusal or case.refusal not in error] == []
        assert len(errors) < len(pair.both)
        shop.run(f"{SHOP}assert {case.after}")


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "unguarded"])
@pytest.mark.parametrize("name", MEETINGS)
def test_two_processes_that_meet_make_one_row(
    shop: RunningShop, pair: Pair, tmp_path: Path, name: str, guarded: bool
) -> None:
    meeting = MEETINGS[name]
    shop.run(SHOP + meeting.before)
    guard = None if guarded else meeting.guard
    errors = pair.at_once(
        f"{SHOP}with meeting({meeting.function}, {str(tmp_path)!r}, {guard!r}):\n    {meeting.both}"
    )
    assert len(list(tmp_path.iterdir())) == 2  # both have been there
    assert [("IntegrityError" in error) for error in errors] == ([] if guarded else [True])
    shop.run(f"{SHOP}assert {meeting.after}")


def test_a_start_survives_schedules_that_an_earlier_one_has_doubled(shop: RunningShop) -> None:
    shop.run(
        SHOP + "jobs.write_schedules()\n"
        "for schedule in Schedule.objects.all():\n"
        "    schedule.pk = None; schedule.save()"
    )
    first, names = "Schedule.objects.order_by('pk').first().pk", CASES["schedules"].after
    kept = shop.query(f"__import__('django_q').models.{first}")
    shop.run(f"{SHOP}jobs.write_schedules()\nassert {names}")
    assert shop.query(f"__import__('django_q').models.{first}") == kept
