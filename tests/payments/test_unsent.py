"""Which failures prove that the request was never sent, tested with real sockets."""

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

from payments import gateway
from payments.gateway import Answer, Charge, GatewayTimeoutError, NoAnswerError
from payments.services import payment_acquire, payment_charge

PATIENCE = 60  # seconds; nothing is asserted about speed
Behaviour = Callable[[socket.socket], None]


def read_request(connection: socket.socket) -> None:
    """Read a whole request: headers and body."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    (length,) = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    ]
    while len(body) < length:
        body += connection.recv(65536)


def answering(status: str, body: str, headers: str = "", length: int = 0) -> Behaviour:
    """Return a behaviour that reads a request and answers it, optionally with a false `length`."""

    def answer(connection: socket.socket) -> None:
        read_request(connection)
        head = f"HTTP/1.1 {status}\r\nContent-Length: {length or len(body)}\r\n{headers}\r\n"
        connection.sendall(head.encode() + body.encode())

    return answer


def reset(connection: socket.socket) -> None:
    """Read the request, then reset the connection."""
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silence(connection: socket.socket) -> None:
    """Read the request and wait until the client closes the connection."""
    read_request(connection)
    connection.recv(1)


approve = answering("200 OK", '{"status": "approved"}')
BUSY = answering("503 Service Unavailable", "", "Retry-After: 30\r\n")
TOO_MANY = answering("429 Too Many Requests", "", "Retry-After: 30\r\n")


@contextmanager
def server(settings: Settings, *connections: list[Behaviour]) -> Iterator[list[int]]:
    """Serve each connection's behaviours in turn; yield the connection number of each served."""
    served: list[int] = []

    def serve(listener: socket.socket) -> None:
        for number, behaviours in enumerate(connections):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(PATIENCE)
                for behave in behaviours:
                    behave(connection)
                    served.append(number)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        settings.GATEWAY_URL = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            yield served
        finally:
            thread.join()
    gateway._server().close()


@contextmanager
def refused(settings: Settings) -> Iterator[None]:
    """Point the settings to a port on which nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        settings.GATEWAY_URL = f"http://127.0.0.1:{bound.getsockname()[1]}"
        yield


@contextmanager
def unknown_host(settings: Settings) -> Iterator[None]:
    """Point the settings to a host whose name does not resolve."""
    settings.GATEWAY_URL = "http://gateway.invalid"
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    with patch("socket.getaddrinfo", side_effect=unknown):
        yield


@contextmanager
def full_backlog(settings: Settings) -> Iterator[None]:
    """Point the settings to a listener with a full backlog, which neither accepts nor refuses."""
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
            for connection in waiting:
                connection.close()


@pytest.fixture(autouse=True)
def _patient(settings: Settings) -> None:
    settings.GATEWAY_CONNECT_TIMEOUT = settings.GATEWAY_READ_TIMEOUT = PATIENCE


def wait_for_the_end_of_the_kept_connection() -> None:
    """Wait until the news that the gateway has closed it is there to be read."""
    kept = gateway._server()._connection
    assert kept is not None
    assert select.select([kept.sock], [], [], PATIENCE)[0]


@pytest.fixture
def charge() -> Charge:
    return Charge(uuid.uuid4().hex, Decimal("12.50"), "EUR", "tok_good", "VT-TEST")


@pytest.mark.parametrize(
    ("unreachable", "outcome"),
    [(refused, "error"), (unknown_host, "error"), (full_backlog, "timeout")],
)
def test_without_a_connection_nothing_was_sent(
    charge: Charge, settings: Settings, unreachable: Callable[..., object], outcome: str
) -> None:
    with unreachable(settings), pytest.raises(NoAnswerError) as failed:  # type: ignore[attr-defined]
        gateway.charge(charge)
    assert (failed.value.maybe_sent, failed.value.outcome) == (False, outcome)


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        (reset, "error"),
        (read_request, "error"),  # then the server closes the connection
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
def test_over_a_connection_it_may_have_been_sent(
    charge: Charge, settings: Settings, behaviour: Behaviour, outcome: str
) -> None:
    if behaviour is silence:
        settings.GATEWAY_READ_TIMEOUT = 0.2
    with server(settings, [behaviour]), pytest.raises(NoAnswerError) as failed:
        gateway.charge(charge)
    assert (failed.value.maybe_sent, failed.value.outcome) == (True, outcome)


def test_a_keep_alive_connection_closed_on_the_next_request_may_have_carried_it(
    charge: Charge, settings: Settings
) -> None:
    with server(settings, [approve, reset]) as served:
        assert gateway.charge(charge) is Answer.APPROVED
        with pytest.raises(NoAnswerError) as failed:
            gateway.charge(charge)
    assert served == [0, 0]
    assert failed.value.maybe_sent


def test_a_closed_keep_alive_connection_is_not_reused(charge: Charge, settings: Settings) -> None:
    with server(settings, [approve], [approve]) as served:
        assert gateway.charge(charge) is Answer.APPROVED
        wait_for_the_end_of_the_kept_connection()
        assert gateway.charge(charge) is Answer.APPROVED
    assert served == [0, 1]


@pytest.mark.parametrize("args", [(), ("a sentence",)])
def test_a_request_counts_as_sent_if_in_doubt(args: tuple[str, ...]) -> None:
    assert NoAnswerError(*args).maybe_sent
    assert GatewayTimeoutError(*args).maybe_sent


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record sleeps instead of sleeping, with jitter fixed at its middle."""
    slept: list[float] = []
    monkeypatch.setattr("payments.services.time.sleep", slept.append)
    monkeypatch.setattr("payments.services.random.uniform", lambda low, high: (low + high) / 2)
    return slept


@pytest.mark.django_db
@pytest.mark.parametrize("behaviour", [reset, read_request, BUSY, TOO_MANY])
@pytest.mark.parametrize("mode", ["keyed", "unsent"])
def test_a_charge_that_may_have_been_sent_is_retried_only_with_idempotency_keys(
    charge: Charge, settings: Settings, pauses: list[float], behaviour: Behaviour, mode: str
) -> None:
    settings.GATEWAY_RETRY = mode
    once = [[behaviour]]
    same_connection = behaviour in {BUSY, TOO_MANY}
    twice = [[behaviour, approve]] if same_connection else [[behaviour], [approve]]
    with server(settings, *(twice if mode == "keyed" else once)) as served:
        permit = payment_acquire(key=charge.key)
        if mode == "keyed":
            assert payment_charge(charge=charge, permit=permit) is Answer.APPROVED
        else:
            with pytest.raises(NoAnswerError):
                payment_charge(charge=charge, permit=permit)
    assert len(served) == (2 if mode == "keyed" else 1)
    # The gateway's Retry-After of 30 s is ignored.
    assert pauses == ([0.1] if mode == "keyed" else [])


@pytest.mark.django_db
@pytest.mark.parametrize("mode", ["keyed", "unsent"])
@pytest.mark.parametrize("unreachable", [refused, unknown_host, full_backlog])
def test_a_charge_that_was_never_sent_is_retried_in_both_modes(
    charge: Charge,
    settings: Settings,
    pauses: list[float],
    unreachable: Callable[..., object],
    mode: str,
) -> None:
    settings.GATEWAY_RETRY, settings.GATEWAY_ATTEMPTS = mode, 4
    with unreachable(settings), pytest.raises(NoAnswerError) as failed:  # type: ignore[attr-defined]
        payment_charge(charge=charge, permit=payment_acquire(key=charge.key))
    assert not failed.value.maybe_sent
    assert pauses == [0.1, 0.2, 0.4]


@pytest.mark.django_db
def test_the_backoff_has_jitter(
    charge: Charge, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.GATEWAY_ATTEMPTS, settings.BREAKER_FAIL_MAX = 30, 100
    slept: list[float] = []
    monkeypatch.setattr("payments.services.time.sleep", slept.append)
    with refused(settings), pytest.raises(NoAnswerError):
        payment_charge(charge=charge, permit=payment_acquire(key=charge.key))
    shares = [pause / (0.1 * 2**number) for number, pause in enumerate(slept)]
    assert len(set(shares)) == 29
    assert 0.5 <= min(shares) < 0.9
    assert 1.1 < max(shares) <= 1.5
