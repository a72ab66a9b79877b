"""POST /metrics/alerts/: what is accepted or rejected, and what is stored."""

import json
import logging
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings

from oncall.models import Alert, AlertFeed, LostAlerts
from oncall.services import alerts_prune
from tests.oncall.support import alert, minutes, notification_body
from tests.support import moved

pytestmark = pytest.mark.django_db

TOKEN = "the-token-of-alertmanager"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Host": "shop.internal:8000"}


@pytest.fixture(autouse=True)
def _token(settings: Settings) -> None:
    settings.ALERTS_TOKEN = TOKEN


@pytest.fixture
def sender() -> Client:
    return Client(enforce_csrf_checks=True)


def post(sender: Client, body: Any, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """Post a body; return the status and message of the response."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = sender.generic(
        "POST",
        "/metrics/alerts/",
        data,
        "application/json",
        headers=HEADERS if headers is None else headers,
    )
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    return response.status_code, response.content.decode().rstrip("\n")


def lost() -> list[tuple[str, int | None, str]]:
    rows = LostAlerts.objects.order_by("pk")
    return list(rows.values_list("reason", "count", "detail"))


def stored() -> int:
    return Alert.objects.count() + AlertFeed.objects.count()


def test_a_notification_is_stored_completely(sender: Client) -> None:
    fire = alert(labels={"origin": "grafana", "product": "7"})
    with moved() as changes:
        assert post(sender, notification_body(fire, alert("Watchdog"))) == (
            200,
            "2 alerts received.",
        )
    assert changes == {}  # no request, error or metric is counted
    stored_alert = Alert.objects.get()
    assert {
        name: getattr(stored_alert, name) for name in ("fingerprint", "name", "severity", "service")
    } == {
        "fingerprint": fire["fingerprint"],
        "name": "RetailOversold",
        "severity": "critical",
        "service": "shop",
    }
    assert (stored_alert.labels, stored_alert.annotations) == (fire["labels"], fire["annotations"])
    assert (stored_alert.status, stored_alert.origin, stored_alert.generator_url) == (
        "firing",
        "grafana",
        fire["generatorURL"],
    )
    assert (minutes(stored_alert.starts_at), stored_alert.ends_at) == (0, None)
    feed = AlertFeed.objects.get()
    assert feed.heard_at == feed.heartbeat_at == stored_alert.received_at == stored_alert.updated_at


def test_each_alert_is_logged(sender: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "retail.alerts"):
        post(sender, notification_body(alert("Watchdog"), alert(end=5), alert("RetailTargetDown")))
        post(sender, notification_body(alert()))
    events = [
        (line.getMessage(), line.levelname, line.alert, line.status, line.kept)  # type: ignore[attr-defined]
        for line in caplog.records
        if line.name == "retail.alerts"
    ]
    assert events == [
        ("event=alert.received", "INFO", "RetailOversold", "resolved", True),
        ("event=alert.received", "INFO", "RetailTargetDown", "firing", True),
        ("event=alert.received", "INFO", "RetailOversold", "firing", False),
    ]


@pytest.mark.parametrize(
    ("labels", "origin"),
    [({}, "prometheus"), ({"origin": "loki"}, "loki"), ({"origin": "elsewhere"}, "prometheus")],
)
def test_the_origin_comes_from_a_label(sender: Client, labels: dict[str, str], origin: str) -> None:
    post(sender, notification_body(alert(labels=labels)))
    assert Alert.objects.get().origin == origin


def test_long_names_and_unusual_characters_are_accepted(sender: Client) -> None:
    odd = {"severity": "s" * 500, "service": "x" * 500, "nul\x00": "a\x00b", "sea": "Süße 🐟"}
    fire = alert("Retail" * 100, labels=odd, fingerprint="f" * 64, annotations={"summary": "\x00"})
    assert post(sender, notification_body(fire)) == (200, "1 alert received.")
    stored_alert = Alert.objects.get()
    assert (len(stored_alert.name), len(stored_alert.severity), len(stored_alert.service)) == (
        200,
        40,
        100,
    )
    assert (stored_alert.labels["nul�"], stored_alert.labels["sea"]) == ("a�b", "Süße 🐟")


@pytest.mark.parametrize(
    ("debug", "token", "authorization", "status"),
    [
        (False, TOKEN, "", 401),
        (False, TOKEN, "Bearer wrong", 401),
        (False, TOKEN, f"Basic {TOKEN}", 401),
        (True, TOKEN, "", 401),
        (True, "", "", 200),
        (False, "", "", 401),
        (False, "", "Bearer ", 401),
        (False, TOKEN, f"bearer {TOKEN}", 200),
    ],
)
def test_only_the_bearer_token_gives_access(
    sender: Client, settings: Settings, debug: bool, token: str, authorization: str, status: int
) -> None:
    settings.DEBUG, settings.ALERTS_TOKEN = debug, token
    response = post(sender, notification_body(alert()), {"Authorization": authorization})
    assert response[0] == status
    assert stored() == (2 if status == 200 else 0)


def changed(**fields: Any) -> dict[str, Any]:
    """Return a notification of two alerts, with fields of the second replaced or (None) removed."""
    second = {**alert("RetailTargetDown"), **fields}
    return notification_body(
        alert(), {name: value for name, value in second.items() if value is not None}
    )


RESOLVED_AT_NOON = {"status": "resolved", "startsAt": "2026-03-01T12:00:00Z"}
LABELS = {"alertname": "RetailOversold"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body must be JSON."),
        (b"{", "The body must be JSON."),
        (b"\xff", "The body must be JSON."),
        (b'"\\ud800"', "The body must be JSON."),
        (b"[" * 100_000, "The body must be JSON."),
        ([], 'The body must be an Alertmanager notification of version "4".'),
        ({}, 'The body must be an Alertmanager notification of version "4".'),
        (
            {**notification_body(), "version": 4},
            'The body must be an Alertmanager notification of version "4".',
        ),
        (
            {**notification_body(), "version": "5"},
            'The body must be an Alertmanager notification of version "4".',
        ),
        ({**notification_body(), "alerts": None}, "alerts must be a list."),
        ({**notification_body(), "alerts": {"a": 1}}, "alerts must be a list."),
    ],
)
def test_what_is_no_notification_is_refused_and_remembered(
    sender: Client, body: Any, message: str
) -> None:
    with moved() as changes:
        assert post(sender, body) == (400, message)
    assert (stored(), changes) == (0, {})
    assert lost() == [("refused", None, message)]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({**notification_body(), "alerts": [alert(), 7]}, "alerts[1] must be an object."),
        (changed(status="broken"), "alerts[1].status must be firing or resolved."),
        (changed(status=None), "alerts[1].status must be a string."),
        (changed(fingerprint=12), "alerts[1].fingerprint must be a string."),
        (changed(fingerprint=""), "alerts[1].fingerprint must have 1 to 64 characters."),
        (changed(fingerprint="f" * 65), "alerts[1].fingerprint must have 1 to 64 characters."),
        (changed(labels=[]), "alerts[1].labels must be an object of strings."),
        (changed(labels={**LABELS, "x": 1}), "alerts[1].labels.x must be a string."),
        (changed(annotations="x"), "alerts[1].annotations must be an object of strings."),
        (changed(annotations={"summary": {}}), "alerts[1].annotations.summary must be a string."),
        (changed(generatorURL=[]), "alerts[1].generatorURL must be a string."),
        (changed(startsAt=None), "alerts[1].startsAt must be a string."),
        *(
            (
                changed(startsAt=time),
                "alerts[1].startsAt must be an RFC 3339 time with an offset.",
            )
            for time in ("", "noon", "2026-03-01T12:00:00", "9999-12-31T23:59:59-14:00")
        ),
        (
            changed(**RESOLVED_AT_NOON, endsAt="2026-03-01T11:59:59Z"),
            "alerts[1].endsAt must not be before startsAt.",
        ),
        (
            changed(status="resolved", startsAt="0001-01-01T00:00:00Z"),
            "alerts[1].endsAt must not be before startsAt.",
        ),
    ],
)
def test_an_unreadable_alert_does_not_lose_the_readable_ones_beside_it(
    sender: Client, body: dict[str, Any], message: str
) -> None:
    body["alerts"].append(alert("Watchdog"))
    assert post(sender, body) == (200, f"2 alerts received. 1 alert unreadable: {message}")
    assert list(Alert.objects.values_list("name", flat=True)) == ["RetailOversold"]
    assert AlertFeed.objects.get().heartbeat_at is not None
    assert lost() == [("unreadable", 1, message)]
    del body["alerts"][0], body["alerts"][-1]
    again = message.replace("alerts[1]", "alerts[0]")
    assert post(sender, body) == (400, again)  # nothing of it could be stored
    assert lost() == [("unreadable", 1, message), ("unreadable", 1, again)]


@pytest.mark.parametrize("labels", [None, {}, {"alertname": ""}, {"job": "web"}])
def test_an_alert_without_a_name_is_stored(sender: Client, labels: dict[str, str] | None) -> None:
    assert post(sender, changed(labels=labels)) == (200, "2 alerts received.")
    nameless = Alert.objects.get(name="(no name)")
    assert nameless.labels == (labels or {})
    assert lost() == []


@pytest.mark.parametrize("cut", [1, 7])
def test_alerts_that_alertmanager_left_out_are_remembered(sender: Client, cut: int) -> None:
    body = {**notification_body(alert()), "truncatedAlerts": cut}
    assert post(sender, body) == (200, "1 alert received.")
    assert [row[:2] for row in lost()] == [("cut", cut)]


@pytest.mark.parametrize("cut", [2**31, 2**63, 2**64 - 1])
def test_a_number_too_great_for_the_database_is_cut(sender: Client, cut: int) -> None:
    body = {**notification_body(alert()), "truncatedAlerts": cut}
    assert post(sender, body) == (200, "1 alert received.")
    assert [row[:2] for row in lost()] == [("cut", 2**31 - 1)]


def test_the_name_of_an_unreadable_label_is_kept_without_nul(sender: Client) -> None:
    broken: Any = {"a\x00b": 1}
    message = "alerts[0].labels.a\ufffdb must be a string."
    assert post(sender, notification_body(alert(labels=broken))) == (400, message)
    assert lost() == [("unreadable", 1, message)]


@pytest.mark.parametrize("cut", [0, -1, None, "7", True])
def test_without_a_number_of_cut_alerts_none_is_missing(sender: Client, cut: Any) -> None:
    assert post(sender, {**notification_body(alert()), "truncatedAlerts": cut})[0] == 200
    assert lost() == []


def test_losses_are_logged_and_pruned(sender: Client, caplog: pytest.LogCaptureFixture) -> None:
    post(sender, b"{")
    events = [(line.getMessage(), line.levelname) for line in caplog.records]
    assert events == [("event=alert.lost", "ERROR")]
    at = LostAlerts.objects.get().at
    assert alerts_prune(before=at) == 0
    assert alerts_prune(before=at + timedelta(seconds=1)) == 1
    assert lost() == []


def test_a_stranger_fills_no_table(sender: Client, caplog: pytest.LogCaptureFixture) -> None:
    assert post(sender, b"{", {"Authorization": "Bearer wrong"})[0] == 401
    assert (stored(), lost()) == (0, [])
    assert [line.getMessage() for line in caplog.records] == ["event=alert.refused"]


def test_the_limit_is_one_megabyte(sender: Client, settings: Settings) -> None:
    assert settings.DATA_UPLOAD_MAX_MEMORY_SIZE == 1024 * 1024
    full = json.dumps(
        notification_body(alert(annotations={"description": "x" * 1_000_000}))
    ).encode()
    most = full + b" " * (1024 * 1024 - len(full))
    assert post(sender, most + b" ") == (413, "Send at most 1 MB: set max_alerts on the webhook.")
    assert stored() == 0
    assert lost() == [("refused", None, "Send at most 1 MB: set max_alerts on the webhook.")]
    assert post(sender, most)[0] == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "NONSENSE"])
def test_other_methods_are_405(sender: Client, method: str) -> None:
    response = sender.generic(method, "/metrics/alerts/", headers=HEADERS)
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD, POST")


def test_an_unavailable_database_is_503_so_that_alertmanager_retries(
    sender: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_: object) -> None:
        raise OperationalError("unavailable")

    monkeypatch.setattr("oncall.webhook.notification_receive", fail)
    monkeypatch.setattr("oncall.webhook.lost_record", fail)
    unavailable = (503, "The database is not responding. Try again.")
    assert post(sender, notification_body(alert())) == unavailable
    assert post(sender, b"{") == unavailable  # or its loss would not be remembered
    assert [line.getMessage() for line in caplog.records] == ["event=alert.not_kept"] * 2


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("path", ["/metrics/alerts", "/metrics/alerts/", "/metrics/alerts//"])
def test_the_last_slash_does_not_matter(
    sender: Client, settings: Settings, path: str, debug: bool
) -> None:
    settings.DEBUG, settings.SECURE_SSL_REDIRECT = debug, True
    response = sender.generic(
        "POST", path, json.dumps(notification_body(alert())), "application/json", headers=HEADERS
    )
    assert (response.status_code, response.content) == (200, b"1 alert received.\n")
    assert Alert.objects.count() == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner),
    max_leaves=8,
)
PLACES = st.sampled_from(
    [
        ("version",),
        ("alerts",),
        *(("alerts", 0, name) for name in alert()),
        *(("alerts", 0, "labels", name) for name in ("alertname", "severity", "x")),
        ("alerts", 0, "annotations", "summary"),
    ]
)


@hypothesis_settings(
    max_examples=hypothesis_settings().max_examples * 3 // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(place=PLACES, value=JSON)
def test_no_body_causes_an_error(sender: Client, place: tuple[str | int, ...], value: Any) -> None:
    body: Any = deepcopy(notification_body(alert(end=5)))
    parent = body
    for step in place[:-1]:
        parent = parent[step]
    parent[place[-1]] = value
    before, losses = Alert.objects.count(), len(lost())
    status, message = post(sender, body)
    assert status in {200, 400}
    assert message
    if status == 400:
        assert (Alert.objects.count(), len(lost())) == (before, losses + 1)
