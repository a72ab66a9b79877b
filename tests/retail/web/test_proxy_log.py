"""What the proxy answers by itself is counted from its log, and nothing else of it."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest
from django.urls import reverse

from orders.metrics import CHECKOUT_VIEW
from retail import jobs
from retail.observability.logs.following import Follower
from retail.web import proxy_log
from tests.support import moved

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.django_db  # a scrape reads the database
LOST = 'retail_telemetry_errors_total{sink="proxy"}'


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of the log, which does not exist yet."""
    path = tmp_path / "proxy.log"
    monkeypatch.setattr(proxy_log, "follower", Follower(path))
    assert proxy_log.count_answers() == 0
    return path


def own(page: str, status: str) -> str:
    return f'retail_proxy_answers_total{{page="{page}",status="{status}"}}'


def line(status: int, request: str = "POST /checkout", name: str = "proxy.errors") -> bytes:
    """Return a line of the log, as nginx.conf writes it."""
    method, _, path = request.partition(" ")
    extra = {"method": method, "path": path, "status": status, "upstream_status": ""}
    return json.dumps({"logger": name, "extra": extra}).encode() + b"\n"


def counted(log: Path, text: bytes) -> dict[str, float]:
    """Return what some lines change."""
    with moved() as changes:
        with log.open("ab") as file:
            file.write(text)
        assert proxy_log.count_answers() == 0
    ours = ("retail_proxy_answers_total", "retail_telemetry_errors_total")
    return {name: change for name, change in changes.items() if change and name.startswith(ours)}


@pytest.mark.parametrize(
    ("request_", "status", "series"),
    [
        ("POST /checkout", 502, own("checkout", "5xx")),
        ("POST /checkout", 504, own("checkout", "5xx")),
        ("POST /checkout", 500, own("checkout", "5xx")),
        ("POST /checkout", 429, own("checkout", "4xx")),
        ("POST /checkout", 408, own("checkout", "4xx")),
        ("GET /checkout", 502, own("other", "5xx")),
        ("HEAD /", 503, own("other", "5xx")),
        ("POST /cart/add", 413, own("other", "4xx")),
        ("POST /checkout/x", 502, own("other", "5xx")),
        (" /", 400, own("other", "4xx")),
    ],
)
def test_an_answer_of_the_proxy_is_counted(
    log: Path, request_: str, status: int, series: str
) -> None:
    assert counted(log, line(status, request_)) == {series: 1}
    assert counted(log, b"") == {}


@pytest.mark.parametrize(
    "text",
    [
        line(502, name="proxy.requests"),
        line(500, name="proxy.requests"),
        line(302, name="proxy.requests"),
        line(200),
        line(499),  # the visitor did not wait: nobody was answered
    ],
)
def test_what_web_answered_or_nobody_is_not_counted(log: Path, text: bytes) -> None:
    assert counted(log, text) == {}


def test_a_restart_counts_nothing_again(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert counted(log, line(502) * 2) == {own("checkout", "5xx"): 2}
    monkeypatch.setattr(proxy_log, "follower", Follower(log))
    assert counted(log, b"") == {}
    assert counted(log, line(502)) == {own("checkout", "5xx"): 1}


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe\x00",
        b"",
        b"[" * 100_000,
        b"1",
        b"[]",
        b"null",
        b"{}",
        b'"text"',
        b'{"logger":"proxy.errors","extra":[]}',
        b'{"logger":"proxy.errors","extra":{"method":"POST","path":"/","status":"502"}}',
        b'{"logger":"proxy.errors","extra":{"method":"POST","path":[],"status":502}}',
        b'{"logger":"proxy.errors","extra":{"method":"POST","status":502}}',
        b'{"logger":"proxy.errors","extra":{"path":"/","status":502}}',
        b'{"extra":{"method":"POST","path":"/","status":502}}',
        line(502)[:-9],
    ],
    ids=range(15),
)
def test_a_line_that_cannot_be_read_is_counted_and_left_out(
    log: Path, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert counted(log, text + b"\n" + line(502)) == {LOST: 1, own("checkout", "5xx"): 1}
    [record] = caplog.records
    assert (record.getMessage(), record.__dict__["lines"]) == ("event=proxy_log.unreadable", 1)


def test_a_log_that_cannot_be_read_is_a_failure_of_telemetry(log: Path) -> None:
    log.mkdir()
    with moved() as changes, pytest.raises(IsADirectoryError):
        proxy_log.count_answers()
    assert changes[LOST] == 1


def test_there_is_more_to_read_after_a_full_piece(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retail.observability.logs.following.PIECE", len(line(502)))
    log.write_bytes(line(502) * 2)
    assert [proxy_log.count_answers() for _ in range(3)] == [1, 1, 0]


def test_the_worker_counts_checkouts_apart() -> None:
    assert proxy_log.count_answers in jobs.pollers
    assert reverse(CHECKOUT_VIEW) == "/checkout/"
