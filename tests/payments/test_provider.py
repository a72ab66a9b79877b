"""A shop in production sells nothing through a gateway simulator."""

from __future__ import annotations

import threading
import uuid
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from payments import gateway as gateway_client
from payments import provider
from payments.gateway import Answer, Charge
from payments.health import accepts_payments
from payments.health import breaker as breaker_finding
from payments.models import CircuitBreaker
from payments.provider import SimulatorError
from payments.services import longest_charge, payment_acquire, payment_cancel, payment_charge
from retail.calls import Server
from retail.startup import refuse_errors
from tests.gateway_simulator.support import Process
from tests.running.support import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

pytestmark = pytest.mark.django_db

CARD = "card-5d41402abc4b2a76"
KEY = "a-key-of-the-shop-alone"


@pytest.fixture(autouse=True)
def _production(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DEMO = settings.STAND_INS = False
    monkeypatch.setattr(provider, "_known", provider._Known("", simulator=False, until=0))


@pytest.fixture(scope="module")
def other_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Return the gateway as a stand-in for a provider."""
    own = {"GATEWAY_API_KEY": KEY, "GATEWAY_FAULTS_TOKEN": "a-token-of-the-gateway"}
    mode = {"DEBUG": "False", "GATEWAY_CARDS": CARD}
    process = Process(tmp_path_factory.mktemp("provider"), {**own, **mode}).start()
    yield process
    process.stop()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return the answers to the question whether it is a simulator."""
    answers: list[bool] = []
    ask = gateway_client.is_marked

    def count() -> bool:
        answers.append(ask())
        return answers[-1]

    monkeypatch.setattr(gateway_client, "is_marked", count)
    return answers


def test_a_simulator_is_refused_and_asked_once_a_minute(
    gateway: Process, asked: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(provider, "monotonic", lambda: now)
    for _ in range(3):
        with pytest.raises(SimulatorError) as refusal:
            payment_acquire(key="k")
        assert refusal.value.retry_after == 60
    assert asked == [True]
    now += 61
    with pytest.raises(SimulatorError):
        payment_acquire(key="k")
    assert asked == [True, True]
    assert gateway.get("/v1/charges").json()["charges"] == []


def test_it_is_not_believed_that_a_charge_is_cancelled(gateway: Process) -> None:
    with pytest.raises(SimulatorError):
        payment_cancel(key="sent-to-the-provider")
    assert gateway.get("/v1/charges/sent-to-the-provider").status_code == 404


def test_the_breakers_probe_is_left_to_others(gateway: Process) -> None:
    CircuitBreaker.objects.create(
        name="payments", state="half_open", opened_at=timezone.now(), open_since=timezone.now()
    )
    with pytest.raises(SimulatorError):
        payment_acquire(key="k")
    assert CircuitBreaker.objects.get().probe == ""


def test_staff_are_told(gateway: Process) -> None:
    assert accepts_payments() == "ok"  # not asked yet: a probe does not wait for the gateway
    assert provider.is_simulator()
    assert accepts_payments().startswith("refused: the gateway is a simulator")
    finding = breaker_finding(timezone.now())
    assert (finding.state, finding.word) == ("bad", "refused")


def test_web_and_worker_do_not_start_with_a_simulator(gateway: Process) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"is a simulator.*GATEWAY_URL.*DEMO=True"):
        refuse_errors()


def test_check_deploy_reports_it_and_other_commands_do_not_ask(
    gateway: Process, asked: list[bool]
) -> None:
    assert "payments.E001" not in {message.id for message in run_checks()}
    assert asked == []
    assert "payments.E001" in {message.id for message in run_checks(include_deployment_checks=True)}


@pytest.mark.parametrize("mode", ["development or demo", "elsewhere"])
def test_it_is_not_asked_where_it_does_not_matter(
    gateway: Process, settings: Settings, asked: list[bool], mode: str
) -> None:
    assert provider.is_simulator()
    if mode == "elsewhere":  # what is known of one address says nothing about another
        settings.GATEWAY_URL = f"http://127.0.0.1:{free_port()}"
        assert not provider.known_simulator()
        return
    settings.STAND_INS = True
    assert not provider.is_simulator()
    assert not provider.known_simulator()
    assert accepts_payments() == "ok"
    refuse_errors()
    assert asked == [True]


def test_a_gateway_with_secrets_of_its_own_charges_its_own_cards(
    other_gateway: Process, settings: Settings, asked: list[bool]
) -> None:
    settings.GATEWAY_URL, settings.GATEWAY_API_KEY = other_gateway.url, KEY
    refuse_errors()
    answers = {}
    for card in (CARD, "tok_good", "tok_slow", "tok_declined", "another-card"):
        charge = Charge(uuid.uuid4().hex, Decimal("12.50"), "EUR", card, "VT-TEST")
        answers[card] = payment_charge(charge=charge, permit=payment_acquire(key=charge.key))
    assert answers == {**dict.fromkeys(answers, Answer.DECLINED), CARD: Answer.APPROVED}
    assert asked == [False]


@contextmanager
def answering(body: bytes | None) -> Iterator[str]:
    """Serve this body at every address, or nothing until the client has gone; yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if body is None:
                self.connection.recv(1)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.mark.parametrize(
    "body",
    [
        *(b"<html>It works</html>", b"", b"[]", b"null", b'"simulator"', b'{"status": "ok"}'),
        *(b'{"simulator": false}', b'{"simulator": "true"}', b"[" * 5000),
    ],
)
def test_whatever_else_it_answers_is_a_providers(settings: Settings, body: bytes) -> None:
    with answering(body) as settings.GATEWAY_URL:
        assert not provider.is_simulator()


def test_a_gateway_that_cannot_be_reached_is_asked_again_at_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "monotonic", lambda: 1000.0)
    port = free_port()
    settings.GATEWAY_URL = f"http://127.0.0.1:{port}"
    assert not provider.is_simulator()
    with answering(b'{"simulator": true}') as url:
        monkeypatch.setattr("payments.gateway.Server", lambda _url: Server(url))
        assert provider.is_simulator()


def test_a_gateway_that_never_answers_holds_nobody_up_for_long(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(provider, "monotonic", lambda: now)
    monkeypatch.setattr(gateway_client, "QUESTION_SECONDS", 0.05)
    with answering(None) as settings.GATEWAY_URL:
        assert not provider.is_simulator()
    with answering(b'{"simulator": true}') as url:
        monkeypatch.setattr("payments.gateway.Server", lambda _url: Server(url))
        assert not provider.is_simulator()  # remembered
        now += 6
        assert provider.is_simulator()


def test_while_one_asks_again_the_others_go_by_the_last_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [True, False]
    seen = []

    def slow() -> bool:
        if provider._known.simulator:  # it was asked before: what does another thread do now?
            seen.append(provider.is_simulator())
        return answers.pop(0)

    now = 1000.0
    monkeypatch.setattr(provider, "monotonic", lambda: now)
    monkeypatch.setattr(gateway_client, "is_marked", slow)
    assert provider.is_simulator()
    now += 61
    assert not provider.is_simulator()
    assert (seen, answers) == ([True], [])


def test_the_question_counts_for_the_longest_charge(settings: Settings) -> None:
    longest = longest_charge()
    settings.STAND_INS = True
    assert longest - longest_charge() == pytest.approx(settings.GATEWAY_CONNECT_TIMEOUT + 1)
