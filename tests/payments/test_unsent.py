"""Which failures surely came before the request was sent, seen at real sockets."""

import select
import socket
import struct
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from unittest.mock import patch

import pytest
from pytest_django import Settings
from requests import Request
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool

from payments import gateway
from payments.gateway import Answer, Charge, GatewayTimeoutError, NoAnswerError
from payments.services import payment_acquire, payment_charge

PATIENCE = 60  # seconds; nothing is asserted about speed
Deed = Callable[[socket.socket], None]


def read_request(connection: socket.socket) -> None:
    """Read a whole request: its head and the body that it announces."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += connection.recv(65536)
    head, _, body = got.partition(b"\r\n\r\n")
    (length,) = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    ]
    while len(body) < length:
        body += connection.recv(65536)


def answering(status: str, body: str, headers: str = "", length: int = 0) -> Deed:
    """Return what reads a request and answers it; `length` is announced in place of the true."""

    def answer(connection: socket.socket) -> None:
        read_request(connection)
        head = f"HTTP/1.1 {status}\r\nContent-Length: {length or len(body)}\r\n{headers}\r\n"
        connection.sendall(head.encode() + body.encode())

    return answer


def reset(connection: socket.socket) -> None:
    """Read the request, then break the connection off."""
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silence(connection: socket.socket) -> None:
    """Read the request and wait until the other side has had enough."""
    read_request(connection)
    connection.recv(1)


approve = answering("200 OK", '{"status": "approved"}')
BUSY = answering("503 Service Unavailable", "", "Retry-After: 30\r\n")
TOO_MANY = answering("429 Too Many Requests", "", "Retry-After: 30\r\n")


@contextmanager
def server(settings: Settings, *connections: list[Deed]) -> Iterator[list[int]]:
    """Serve, one after the other, connections on which these things happen; yield their numbers."""
    seen: list[int] = []

    def serve(listener: socket.socket) -> None:
        for number, deeds in enumerate(connections):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(PATIENCE)
                for deed in deeds:
                    deed(connection)
                    seen.append(number)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        settings.GATEWAY_URL = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            yield seen
        finally:
            thread.join()
    gateway._session().close()


@contextmanager
def nobody(settings: Settings) -> Iterator[None]:
    """Have nobody listen."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        settings.GATEWAY_URL = f"http://127.0.0.1:{bound.getsockname()[1]}"
        yield


@contextmanager
def nowhere(settings: Settings) -> Iterator[None]:
    """Let the host's name be unknown."""
    settings.GATEWAY_URL = "http://gateway.invalid"
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    with patch("socket.getaddrinfo", side_effect=unknown):
        yield


@contextmanager
def full(settings: Settings) -> Iterator[None]:
    """Have a listener whose queue is full: a further connection is never made, nor refused."""
    settings.GATEWAY_CONNECT_TIMEOUT = 0.1
    waiting: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        settings.GATEWAY_URL = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            for _ in range(4):
                waiting.append(socket.socket())
                waiting[-1].setblocking(False)
                waiting[-1].connect_ex(listener.getsockname())
            yield
        finally:
            for one in waiting:
                one.close()


@pytest.fixture(autouse=True)
def _patient(settings: Settings) -> None:
    settings.GATEWAY_CONNECT_TIMEOUT = settings.GATEWAY_READ_TIMEOUT = PATIENCE


def wait_for_the_end_of_the_kept_connection(settings: Settings) -> None:
    """Wait until the news that the gateway has closed it is there to be read."""
    adapter = gateway._session().get_adapter(settings.GATEWAY_URL)
    assert isinstance(adapter, HTTPAdapter)
    request = Request("POST", settings.GATEWAY_URL).prepare()
    connections = adapter.get_connection_with_tls_context(request, verify=True)
    assert isinstance(connections, HTTPConnectionPool)
    assert connections.pool is not None
    [kept] = [connection for connection in connections.pool.queue if connection is not None]
    assert select.select([kept.sock], [], [], PATIENCE)[0]


@pytest.fixture
def wanted() -> Charge:
    return Charge(uuid.uuid4().hex, Decimal("12.50"), "EUR", "tok_good", "VT-TEST")


@pytest.mark.parametrize(
    ("place", "outcome"), [(nobody, "error"), (nowhere, "error"), (full, "timeout")]
)
def test_without_a_connection_nothing_was_sent(
    wanted: Charge, settings: Settings, place: Callable[..., object], outcome: str
) -> None:
    with place(settings), pytest.raises(NoAnswerError) as failed:  # type: ignore[attr-defined]
        gateway.charge(wanted)
    assert (failed.value.maybe_sent, failed.value.outcome) == (False, outcome)


@pytest.mark.parametrize(
    ("deed", "outcome"),
    [
        (reset, "error"),
        (read_request, "error"),  # and closes the connection without a word
        (silence, "timeout"),
        (answering("200 OK", '{"status": "appr', length=22), "error"),
        (answering("200 OK", "<p>all is well</p>"), "error"),
        (answering("500 Internal Server Error", '{"status": "approved"}'), "error"),
        (answering("500 Internal Server Error", ""), "error"),
        (BUSY, "error"),
        (TOO_MANY, "error"),
        (answering("302 Found", "", "Location: http://127.0.0.1:1/\r\n"), "error"),
    ],
)
def test_over_a_connection_it_may_have_been(
    wanted: Charge, settings: Settings, deed: Deed, outcome: str
) -> None:
    if deed is silence:
        settings.GATEWAY_READ_TIMEOUT = 0.2
    with server(settings, [deed]), pytest.raises(NoAnswerError) as failed:
        gateway.charge(wanted)
    assert (failed.value.maybe_sent, failed.value.outcome) == (True, outcome)


def test_a_kept_connection_that_the_gateway_closes_on_the_next_request_may_have_carried_it(
    wanted: Charge, settings: Settings
) -> None:
    with server(settings, [approve, reset]) as seen:
        assert gateway.charge(wanted) is Answer.APPROVED
        with pytest.raises(NoAnswerError) as failed:
            gateway.charge(wanted)
    assert seen == [0, 0]
    assert failed.value.maybe_sent


def test_a_kept_connection_that_was_closed_meanwhile_is_not_used(
    wanted: Charge, settings: Settings
) -> None:
    with server(settings, [approve], [approve]) as seen:
        assert gateway.charge(wanted) is Answer.APPROVED
        wait_for_the_end_of_the_kept_connection(settings)
        assert gateway.charge(wanted) is Answer.APPROVED
    assert seen == [0, 1]


@pytest.mark.parametrize("told", [(), ("a sentence",)])
def test_in_doubt_it_was_sent(told: tuple[str, ...]) -> None:
    assert NoAnswerError(*told).maybe_sent
    assert GatewayTimeoutError(*told).maybe_sent


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return what was slept instead of sleeping, with the dice in the middle."""
    slept: list[float] = []
    monkeypatch.setattr("payments.services.time.sleep", slept.append)
    monkeypatch.setattr("payments.services.random.uniform", lambda low, high: (low + high) / 2)
    return slept


@pytest.mark.django_db
@pytest.mark.parametrize("deed", [reset, read_request, BUSY, TOO_MANY])
@pytest.mark.parametrize("mode", ["keyed", "unsent"])
def test_what_may_have_been_sent_is_sent_again_only_where_the_key_keeps_it_one_charge(
    wanted: Charge, settings: Settings, pauses: list[float], deed: Deed, mode: str
) -> None:
    settings.GATEWAY_RETRY = mode
    once = [[deed]]
    twice = [[deed, approve]] if deed in {BUSY, TOO_MANY} else [[deed], [approve]]
    with server(settings, *(twice if mode == "keyed" else once)) as seen:
        permit = payment_acquire(key=wanted.key)
        if mode == "keyed":
            assert payment_charge(charge=wanted, permit=permit) is Answer.APPROVED
        else:
            with pytest.raises(NoAnswerError):
                payment_charge(charge=wanted, permit=permit)
    assert len(seen) == (2 if mode == "keyed" else 1)
    # The gateway's Retry-After of 30 s is not waited for.
    assert pauses == ([0.1] if mode == "keyed" else [])


@pytest.mark.django_db
@pytest.mark.parametrize("mode", ["keyed", "unsent"])
@pytest.mark.parametrize("place", [nobody, nowhere, full])
def test_what_was_surely_not_sent_is_tried_again_in_both_modes(
    wanted: Charge,
    settings: Settings,
    pauses: list[float],
    place: Callable[..., object],
    mode: str,
) -> None:
    settings.GATEWAY_RETRY, settings.GATEWAY_ATTEMPTS = mode, 4
    with place(settings), pytest.raises(NoAnswerError) as failed:  # type: ignore[attr-defined]
        payment_charge(charge=wanted, permit=payment_acquire(key=wanted.key))
    assert not failed.value.maybe_sent
    assert pauses == [0.1, 0.2, 0.4]


@pytest.mark.django_db
def test_the_pause_is_spread_around_its_length(
    wanted: Charge, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.GATEWAY_ATTEMPTS, settings.BREAKER_FAIL_MAX = 30, 100
    slept: list[float] = []
    monkeypatch.setattr("payments.services.time.sleep", slept.append)
    with nobody(settings), pytest.raises(NoAnswerError):
        payment_charge(charge=wanted, permit=payment_acquire(key=wanted.key))
    shares = [pause / (0.1 * 2**number) for number, pause in enumerate(slept)]
    assert len(set(shares)) == 29
    assert 0.5 <= min(shares) < 0.9
    assert 1.1 < max(shares) <= 1.5
