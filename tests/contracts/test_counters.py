"""Every counter of the catalogue is incremented by what it counts, with every label value."""

from __future__ import annotations

import itertools
import json
import logging
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from smtplib import SMTPRecipientsRefused
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from django.conf import settings as shop_settings
from django.contrib.auth.tokens import default_token_generator
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from accounts import hashers
from accounts.addresses import tokens
from accounts.models import EmailAddress
from accounts.second_factor import factors_reset
from orders.models import Payment, Sale, new_payment_key
from orders.recovery import settle_payments
from orders.reservation import reserve
from orders.services import StockConflictError, sale_checkout
from partner_feeds import push
from partner_feeds.models import Partner
from partner_feeds.services import push_key_create
from payments import refund_gateway
from payments.breaker import BreakerOpenError
from payments.gateway import Answer, GatewayTimeoutError, NoAnswerError
from payments.models import CircuitBreaker
from payments.refunds import RefundRefusedError, RefundRequest, refund_send
from payments.services import breaker_force, breaker_unforce
from products.models import Category, Product
from products.services import SoldOutError
from retail import jobs
from retail.audit import declare, runner
from retail.mail import smtp
from retail.mail.kinds import Content, registered
from retail.models import Email, SecurityEvent
from retail.observability import record_metric
from retail.observability.logs.following import Follower
from retail.observability.logs.sinks import SharedFile
from retail.observability.prometheus import catalogue
from retail.observability.prometheus.exposition import DatabaseCollector
from retail.observability.prometheus.instruments import Counter
from retail.observability.rows import recorder
from retail.security import trail
from retail.throttling import ThrottledError
from retail.web import proxy_log
from returns import metrics as of_returns
from returns.models import Return
from tests.accounts.factors import CHECK, Clock, enrol, log_in, make_staff
from tests.retail.conftest import forgiving
from tests.retail.observability.log_writing import open_writer, say
from tests.returns.rows import make_paid, make_refund, make_return
from tests.support import make_buyer, make_product, moved, order_for, send_emails, without_the_guard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.contrib.auth.models import User
    from pytest_django import Settings

    from tests.retail.observability.log_writing import Open
    from tests.support import ScriptedGateway

__all__ = ["forgiving", "open_writer"]

pytestmark = pytest.mark.django_db(transaction=True)

REFUND = RefundRequest("r", "k", Decimal(5), "EUR", "RF-1")
VALID_REFUND: dict[str, Any] = {
    "status": "pending",
    "refund_id": "re_1",
    "key": "r",
    "charge_key": "k",
    "amount": "5",
    "currency": "EUR",
    "reference": "RF-1",
    "reason": None,
    "created_at": "2026-01-01T00:00:00+00:00",
}


def series() -> Iterator[str]:
    """Yield every series of the counters, as `moved` names them."""
    for counter in catalogue.entries():
        if counter is catalogue.HTTP_ERRORS:
            yield f'{counter.name}{{view="orders:checkout"}}'  # one view stands for all
        elif isinstance(counter, Counter):
            sets = [values for values in counter.labels.values() if values is not None]
            for values in itertools.product(*sets):
                pairs = zip(counter.labels, values, strict=True)
                labels = ",".join(f'{name}="{value}"' for name, value in pairs)
                yield f"{counter.name}{{{labels}}}" if labels else counter.name


def fail(*_args: object) -> Any:
    raise LookupError


def _orders(buyer: User, lamp: Product, gateway: ScriptedGateway) -> None:
    """Place orders that end in every way, with the gateway in service."""
    for currency in shop_settings.CURRENCIES:
        Product.objects.update(currency=currency)
        sale = sale_checkout(order=order_for(buyer, lamp))
        assert sale.status == Sale.Status.CONFIRMED
    Product.objects.update(currency=shop_settings.CURRENCY)
    gateway.answers = [Answer.DECLINED]
    assert sale_checkout(order=order_for(buyer, lamp)).status == Sale.Status.FAILED
    _, payment = reserve(order_for(buyer, lamp), new_payment_key())
    longer = timedelta(seconds=shop_settings.PAYMENT_CANCEL_AFTER + 1)
    Payment.objects.filter(pk=payment.pk).update(
        sent_at=timezone.now() - longer, due_at=timezone.now()
    )
    assert settle_payments() == 1
    assert gateway.cancelled == [payment.key]


def _refunds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Request refunds that the gateway answers in every way."""
    answers = iter(
        (NoAnswerError(), GatewayTimeoutError(), RefundRefusedError("disputed"), VALID_REFUND)
    )

    def answer(_request: RefundRequest) -> dict[str, Any]:
        given = next(answers)
        if isinstance(given, Exception):
            raise given
        return given

    monkeypatch.setattr(refund_gateway, "refund", answer)
    for _ in range(3):
        with pytest.raises((NoAnswerError, RefundRefusedError)):
            refund_send(request=REFUND, attempt=1)
    assert refund_send(request=REFUND, attempt=4).refund_id == "re_1"


def _outage(buyer: User, lamp: Product, gateway: ScriptedGateway) -> None:
    """Let the breaker open for want of answers, probe, and close."""
    gateway.answers = [GatewayTimeoutError(), *[NoAnswerError()] * 20]
    for _ in range(3):  # two attempts each; the fifth failure in a row opens it
        assert sale_checkout(order=order_for(buyer, lamp)).status == Sale.Status.PENDING
    with pytest.raises(BreakerOpenError):
        sale_checkout(order=order_for(buyer, lamp))
    with pytest.raises(BreakerOpenError):
        refund_send(request=REFUND, attempt=1)
    CircuitBreaker.objects.update(opened_at=timezone.now() - timedelta(hours=2))
    gateway.answers = [Answer.APPROVED]
    assert sale_checkout(order=order_for(buyer, lamp)).status == Sale.Status.CONFIRMED


def _refusals(buyer: User, lamp: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Order more than there is, with and without the guard of the stock."""
    order = order_for(buyer, make_product("Rug", stock=1), 2)
    with pytest.raises(SoldOutError):
        sale_checkout(order=order)
    without_the_guard(monkeypatch)
    for line in order.lines:
        line.product.stock = line.quantity  # an outdated read
    with pytest.raises(StockConflictError):
        sale_checkout(order=order)


def _security(buyer: User) -> None:
    """Log in and out, change an account, use a reset link, and let staff work in the admin."""
    visitor = Client()
    visitor.post("/accounts/password-reset/", {"email": buyer.email})
    uid = urlsafe_base64_encode(force_bytes(buyer.pk))
    link = f"/accounts/password-reset/{uid}/{default_token_generator.make_token(buyer)}/"
    new = dict.fromkeys(("new_password1", "new_password2"), "another-horse-battery")
    assert visitor.post(visitor.get(link).headers["Location"], new).status_code == 302
    root = make_buyer("root")
    root.email, root.is_staff, root.is_superuser = "new@example.com", True, True
    root.save()
    visitor.force_login(root, "accounts.backends.AccountBackend")
    page, form = "/admin/products/category/", {"name": "Board", "slug": "board"}
    assert visitor.post(f"{page}add/", form).status_code == 302
    row = f"{page}{Category.objects.get(slug='board').pk}"
    assert visitor.post(f"{row}/change/", {**form, "name": "Rack"}).status_code == 302
    assert visitor.post(f"{row}/delete/", {"post": "yes"}).status_code == 302
    breaker_force(state="open", reason="test", minutes=5, by="root", user_id=root.pk)
    breaker_unforce(user_id=root.pk)
    visitor.post("/admin/logout/")
    buyer.refresh_from_db()  # the new password


def _second_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set it up, give right and wrong codes, end a session, and remove it."""
    clock, user = Clock(monkeypatch), make_staff()
    enrol(user, clock)
    here, there = log_in(user), log_in(user)
    assert here.post(CHECK, {"code": clock.code()}).status_code == 302
    assert [there.post(CHECK, {"code": "0"}).status_code for _ in range(2)] == [400, 429]
    here.post("/accounts/sessions/", {"others": "all"})
    assert factors_reset(user=user)


def _own_data() -> None:
    """Change an address, download everything, and delete the account."""
    user, visitor = make_buyer("leaver"), Client()
    visitor.force_login(user, "accounts.backends.AccountBackend")
    form = {"password": "correct-horse-battery", "email": "other@example.com"}
    assert visitor.post("/accounts/email/", form).status_code == 302
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    token = tokens.make_token(EmailAddress.objects.get(user=user))  # type: ignore[arg-type]
    assert visitor.post(f"/accounts/confirm-email/{uid}/{token}/").status_code == 302
    assert visitor.post("/accounts/data/", form).status_code == 200
    assert visitor.post("/accounts/delete/", form).status_code == 302


def _floods(client: Client, buyer: User, lamp: Product, settings: Settings) -> None:
    """Exceed every rate limit."""
    settings.THROTTLE_CHECKOUT_LIMIT = settings.THROTTLE_PASSWORD_RESET_LIMIT = 0
    settings.THROTTLE_REGISTER_LIMIT = settings.THROTTLE_SEARCH_LIMIT = 0
    with pytest.raises(ThrottledError):
        sale_checkout(order=order_for(buyer, lamp))
    reset = client.post("/accounts/password-reset/", {"email": buyer.email})
    own = Client()
    own.force_login(buyer, "accounts.backends.AccountBackend")
    resent = own.post("/accounts/email/resend/")
    wrong = {"username": buyer.username, "password": "guess"}
    logins = [client.post("/accounts/login/", wrong).status_code for _ in range(6)]
    searched, registered = client.get("/products/?q=lamp"), client.post("/accounts/register/")
    statuses = [answer.status_code for answer in (reset, resent, searched, registered)]
    assert [*statuses, logins[-1]] == [429] * 5
    with ExitStack() as hashing:
        for _ in range(settings.PASSWORD_HASHING_THREADS):
            hashing.enter_context(hashers._free)
        with pytest.raises(ThrottledError):
            hashers.BoundedHasher().encode("guess", "salt")
    _floods_of_files(client, lamp)


def _floods_of_files(client: Client, lamp: Product) -> None:
    """Exceed the rate limits of partners' programs."""
    partner = Partner.objects.create(name="Acme", slug="acme", category=lamp.category)
    headers = {"Authorization": f"Bearer {push_key_create(partner, None)[1]}"}
    with pytest.MonkeyPatch.context() as patched:
        for limit in ("PUSHES", "FAILED_KEYS"):
            patched.setattr(push, limit, 0)
            answer = client.post("/feeds/acme/", b"x", content_type="text/csv", headers=headers)
            assert answer.status_code == 429


def _checkout_fails(client: Client, buyer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a view raise."""
    client.force_login(buyer)
    client.raise_request_exception = False
    monkeypatch.setattr("orders.views.current_items", fail)
    assert client.get("/checkout/").status_code == 500


def _jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each job succeed and fail."""
    for job in jobs.declared.values():
        monkeypatch.setattr(job, "function", lambda: 0)
        job()
        monkeypatch.setattr(job, "function", fail)
        with pytest.raises(LookupError):
            job()


def _emails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an e-mail end in each way."""
    refused = SMTPRecipientsRefused({"buyer@example.com": (550, b"unknown")})
    errors = {"deferred": OSError(), "given_up": OSError(), "refused": refused}

    def compose(email: Email) -> Content | None:
        if error := {**errors, "uncertain": smtp.NoAnswerError()}.get(email.about):
            raise error
        return Content("buyer@example.com", "", "") if email.about == "sent" else None

    kind = SimpleNamespace(compose=compose, sent=None)
    monkeypatch.setitem(registered, "note", kind)
    for about in ("sent", "not_needed", "uncertain", *errors):
        Email.objects.create(kind="note", about=about)
    Email.objects.filter(about="uncertain").update(unanswered=2)
    Email.objects.filter(about="given_up").update(created_at=timezone.now() - timedelta(days=2))
    send_emails()


def _returns() -> None:
    """Let refunds and returns reach every status."""
    buyer = make_buyer("returner")
    for currency in shop_settings.CURRENCIES:
        paid = make_refund(make_paid(buyer, currency=currency), "SUCCEEDED")
        of_returns.record_refund_settled(paid)
    payment = make_paid(buyer)
    of_returns.record_refund_requested(make_refund(payment))
    of_returns.record_refund_needs_human(make_refund(payment, "NEEDS_HUMAN"))
    for status in ("FAILED", "CANCELLED"):
        of_returns.record_refund_ended(make_refund(payment, status), was_paid=False)
    for status in Return.Status.values:
        of_returns.record_return(make_return(payment, status))


def _telemetry(open_writer: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every part of the telemetry fail."""
    catalogue.JOBS.inc(task="no such job", outcome="failed")
    record_metric("stock_conflicts", -1)
    monkeypatch.setattr(recorder, "LIMIT", 0)
    record_metric("stock_conflicts", 1)
    collector = DatabaseCollector()
    collector.add("broken", fail)
    collector.collect()
    monkeypatch.setattr(logging, "raiseExceptions", False)
    writer = open_writer()
    writer.sinks[0] = SharedFile(Path("/dev/full"), 10_000, backups=1)
    say(1, logging.WARNING)
    monkeypatch.setitem(
        declare.declared, declare.OVERSOLD, replace(declare.declared[declare.OVERSOLD], scan=fail)
    )
    runner.audit([declare.OVERSOLD])
    with monkeypatch.context() as patched:
        patched.setattr(SecurityEvent.objects, "create", Mock(side_effect=DatabaseError))
        trail.record("log_out", user_id=None)


def _proxy(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the proxy answer by itself, and log nonsense."""
    monkeypatch.setattr(proxy_log, "follower", Follower(log))
    proxy_log.count_answers()
    with log.open("w", encoding="utf-8") as lines:
        for status, path in itertools.product((429, 502), ("/checkout", "/")):
            request = {"method": "POST", "path": path, "status": status}
            lines.write(json.dumps({"logger": "proxy.errors", "extra": request}) + "\n")
        lines.write("nonsense\n")
    proxy_log.count_answers()


@pytest.fixture
def buyer() -> User:
    return make_buyer()


@pytest.fixture
def lamp() -> Product:
    return make_product(stock=50)


def test_every_counter_is_incremented(
    buyer: User,
    lamp: Product,
    client: Client,
    scripted_gateway: ScriptedGateway,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    open_writer: Open,
    tmp_path: Path,
    forgiving: None,
) -> None:
    settings.THROTTLE_CHECKOUT_LIMIT = 100
    with moved() as changes:
        _orders(buyer, lamp, scripted_gateway)
        _refunds(monkeypatch)
        _outage(buyer, lamp, scripted_gateway)
        with monkeypatch.context() as patched:
            _refusals(buyer, lamp, patched)
        _security(buyer)
        with monkeypatch.context() as patched:
            _second_factor(patched)
        _own_data()
        _floods(client, buyer, lamp, settings)
        _checkout_fails(client, buyer, monkeypatch)
        _jobs(monkeypatch)
        _emails(monkeypatch)
        _returns()
        _proxy(tmp_path / "proxy.log", monkeypatch)
        _telemetry(open_writer, monkeypatch)
    assert sorted(set(series()) - {name for name, change in changes.items() if change > 0}) == []
