"""A gateway that never stops answering: each call ends, and is a time-out for the breaker."""

import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from itertools import chain, repeat
from unittest.mock import patch

import pytest
from pytest_django import Settings

from payments import gateway, selectors
from payments.gateway import Answer, Charge, GatewayTimeoutError, NoAnswerError
from payments.models import CircuitBreaker
from payments.services import payment_acquire, payment_cancel, payment_charge
from tests.payments.test_unsent import (
    Behaviour,
    approve,
    full_backlog,
    read_request,
    refused,
    server,
)
from tests.support import moved

OK = b"HTTP/1.1 200 OK\r\n"
APPROVED = b'{"status": "approved"'
PIECE = 64 * 1024
A_BYTE_AT_A_TIME = 0.05  # seconds, much less than the read time-out


def trickling(head: bytes, slowly: bytes, tail: bytes = b"") -> Behaviour:
    """Answer with `slowly` a byte at a time, in 20 seconds: valid, but too late."""

    def answer(connection: socket.socket) -> None:
        read_request(connection)
        with suppress(OSError):  # the client has closed the connection
            connection.sendall(head)
            connection.settimeout(A_BYTE_AT_A_TIME)
            for number in range(400):
                connection.sendall(slowly[number : number + 1] or slowly[-1:])
                with suppress(TimeoutError):
                    if connection.recv(1) == b"":
                        return
            connection.sendall(tail)

    return answer


def flooding(head: bytes, pieces: Callable[[], Iterator[bytes]]) -> Behaviour:
    """Answer with more than any answer has."""

    def answer(connection: socket.socket) -> None:
        read_request(connection)
        with suppress(OSError):
            connection.sendall(head)
            for piece in pieces():
                connection.sendall(piece)

    return answer


def megabytes(piece: bytes, last: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: chain(repeat(piece, 8 * 1024 * 1024 // len(piece)), [last])


def sized(length: int) -> bytes:
    return OK + f"Content-Length: {length}\r\n\r\n".encode()


CHUNK = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
SLOW = {
    "status line": trickling(b"HTTP/1.1 200 ", b"O", b"\r\n\r\n" + APPROVED + b"}"),
    "headers": trickling(OK + b"X-Slow: ", b"a", b"\r\n\r\n" + APPROVED + b"}"),
    "sized body": trickling(sized(len(APPROVED) + 401), APPROVED + b" ", b"}"),
    "body until the end": trickling(OK + b"\r\n", APPROVED + b" ", b"}"),
    "valid body, then nothing": trickling(OK + b"\r\n" + APPROVED + b"}", b" "),
    "chunks": trickling(
        OK + b"Transfer-Encoding: chunked\r\n\r\n191\r\n", APPROVED + b" ", b"}\r\n0\r\n\r\n"
    ),
}
LARGE = {
    "body until the end": flooding(OK + b"\r\n" + APPROVED, megabytes(b" " * PIECE, b"}")),
    "sized body": flooding(
        sized(len(APPROVED) + 8 * 1024 * 1024 + 1) + APPROVED, megabytes(b" " * PIECE, b"}")
    ),
    "chunks": flooding(
        OK + b"Transfer-Encoding: chunked\r\n\r\n15\r\n" + APPROVED + b"\r\n",
        megabytes(CHUNK, b"1\r\n}\r\n0\r\n\r\n"),
    ),
    "headers": flooding(OK, megabytes(b"X: " + b"a" * 60_000 + b"\r\n", b"\r\n" + APPROVED + b"}")),
    "interim answers": flooding(
        b"", megabytes(b"HTTP/1.1 100 Continue\r\n\r\n", OK + b"\r\n" + APPROVED + b"}")
    ),
    "redirection": flooding(
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n" + APPROVED,
        megabytes(b" " * PIECE, b"}"),
    ),
}


@pytest.fixture(autouse=True)
def _time_outs(settings: Settings) -> None:
    settings.GATEWAY_CONNECT_TIMEOUT, settings.GATEWAY_READ_TIMEOUT = 0.2, 0.3


@pytest.fixture
def charge() -> Charge:
    return Charge(uuid.uuid4().hex, Decimal("12.50"), "EUR", "tok_good", "VT-TEST")


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW)
def test_an_answer_that_trickles_is_a_time_out(
    charge: Charge, settings: Settings, answer: Behaviour
) -> None:
    with server(settings, [answer]), pytest.raises(GatewayTimeoutError) as failed:
        gateway.charge(charge)
    assert failed.value.maybe_sent


@pytest.mark.parametrize("answer", LARGE.values(), ids=LARGE)
def test_an_answer_that_does_not_end_is_a_time_out(
    charge: Charge, settings: Settings, answer: Behaviour
) -> None:
    settings.GATEWAY_READ_TIMEOUT = 60  # not the one that ends it
    with server(settings, [answer]), pytest.raises(GatewayTimeoutError) as failed:
        gateway.charge(charge)
    assert failed.value.maybe_sent


def test_a_page_of_the_ledger_may_be_larger_but_not_endless(settings: Settings) -> None:
    settings.GATEWAY_READ_TIMEOUT = 60
    page = b'{"charges": []' + b" " * 1_000_000 + b"}"

    def whole_page(connection: socket.socket) -> None:
        connection.recv(PIECE)
        connection.sendall(sized(len(page)) + page)

    def endless(connection: socket.socket) -> None:
        connection.recv(PIECE)
        with suppress(OSError):
            connection.sendall(OK + b"\r\n" + page[:-1])
            for piece in megabytes(b" " * PIECE, b"}")():
                connection.sendall(piece)

    with server(settings, [whole_page, endless]):
        assert selectors.gateway_charges(after=0) == []
        with pytest.raises(NoAnswerError):
            selectors.gateway_charges(after=0)


@pytest.mark.parametrize("body", [b"[" * 60_000, b'"' + b"\xff" * 9 + b'"', b"[1]", b"null"])
def test_an_answer_that_is_not_what_was_agreed_is_no_answer(
    charge: Charge, settings: Settings, body: bytes
) -> None:
    settings.GATEWAY_READ_TIMEOUT = 60

    def answer(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(sized(len(body)) + body)

    with server(settings, [answer]), pytest.raises(NoAnswerError) as failed:
        gateway.charge(charge)
    assert failed.value.outcome == "error"


@pytest.mark.django_db
def test_trickling_answers_open_the_breaker(charge: Charge, settings: Settings) -> None:
    settings.BREAKER_FAIL_MAX = 3
    slow = SLOW["valid body, then nothing"]
    with server(settings, [slow], [slow], [slow]), moved() as changes:
        with pytest.raises(NoAnswerError):
            payment_charge(charge=charge, permit=payment_acquire(key=charge.key))
        with pytest.raises(NoAnswerError):
            payment_cancel(key=charge.key)
    assert CircuitBreaker.objects.get().state == "open"
    assert changes['retail_payment_attempts_total{outcome="timeout"}'] == 2


def test_after_a_time_out_the_next_call_has_a_connection_of_its_own(
    charge: Charge, settings: Settings
) -> None:
    with server(settings, [SLOW["sized body"]], [approve]) as served:
        with pytest.raises(GatewayTimeoutError):
            gateway.charge(charge)
        settings.GATEWAY_READ_TIMEOUT = 60
        assert gateway.charge(charge) is Answer.APPROVED
    assert served == [0, 1]


def address(settings: Settings) -> tuple[object, ...]:
    """Return the gateway's address as `getaddrinfo` does."""
    port = int(settings.GATEWAY_URL.rpartition(":")[2])
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))


def test_the_next_address_is_tried(charge: Charge, settings: Settings) -> None:
    settings.GATEWAY_READ_TIMEOUT = 60
    with refused(settings):
        dead = address(settings)
        with server(settings, [approve]):
            found = [dead, address(settings)]
            with patch("retail.calls.socket.getaddrinfo", return_value=found) as resolved:
                # Not the resolution of an address that is already known.
                resolved.side_effect = [found, [dead], [address(settings)]]
                assert gateway.charge(charge) is Answer.APPROVED


def test_addresses_that_do_not_answer_are_not_all_tried(charge: Charge, settings: Settings) -> None:
    with full_backlog(settings):
        settings.GATEWAY_CONNECT_TIMEOUT = 0.2
        found = [address(settings)]
        lookups = chain([found * 9], repeat(found))
        with (
            patch("retail.calls.socket.getaddrinfo", side_effect=lookups) as resolved,
            pytest.raises(GatewayTimeoutError) as failed,
        ):
            gateway.charge(charge)
    assert not failed.value.maybe_sent
    assert resolved.call_count - 1 <= 3  # 0.2 + 0.2 + 0.1 s
