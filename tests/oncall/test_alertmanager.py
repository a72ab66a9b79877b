"""What the page expects of Alertmanager is what Alertmanager is told to do."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from ruamel.yaml import YAML

from oncall import selectors, webhook
from oncall.services import HEARTBEAT

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def span(text: str) -> timedelta:
    """Read a duration such as 30s or 4h."""
    return timedelta(**{UNITS[text[-1]]: int(text[:-1])})


def routes() -> dict[str, dict[str, Any]]:
    """Return the routes by what they match, each with what it has from the first."""
    file = settings.BASE_DIR.parent / "alerts" / "alertmanager.yml"
    first = YAML(typ="safe").load(file)["route"]
    inner = {route["matchers"][0]: {**first, **route} for route in first["routes"]}
    return {"": first, **inner}


def test_an_alert_is_doubted_only_after_it_should_have_been_said_again() -> None:
    assert len(routes()) > 1
    for matches, route in routes().items():
        if HEARTBEAT in matches:
            continue
        severity = matches.partition('"')[2].rstrip('"')
        every = selectors.SAID_AGAIN.get(severity, selectors.SAID_AGAIN_ELSE)
        assert (severity, span(route["repeat_interval"])) == (severity, every)
        assert span(route["group_interval"]) < selectors.SAID_LATE


def test_the_heartbeat_is_sent_often_enough() -> None:
    route = routes()[f'alertname = "{HEARTBEAT}"']
    within = selectors.HEARTBEAT_WITHIN
    assert 2 * (span(route["repeat_interval"]) + span(route["group_interval"])) < within


def test_alertmanager_knows_the_shops_address() -> None:
    text = (settings.BASE_DIR.parent / "alerts" / "alertmanager.yml").read_text("utf-8")
    assert f"url: http://web:8000{webhook.PATH}\n" in text
