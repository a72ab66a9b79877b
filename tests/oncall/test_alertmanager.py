"""The page's expectations match Alertmanager's configuration."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from ruamel.yaml import YAML

from oncall import selectors, webhook
from oncall.services import HEARTBEAT

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """Parse a duration such as 30s or 4h."""
    return timedelta(**{UNITS[text[-1]]: int(text[:-1])})


def routes() -> dict[str, dict[str, Any]]:
    """Return the routes by matcher, each with the fields it inherits from the root."""
    file = settings.BASE_DIR.parent / "alerts" / "alertmanager.yml"
    root = YAML(typ="safe").load(file)["route"]
    inner = {route["matchers"][0]: {**root, **route} for route in root["routes"]}
    return {"": root, **inner}


def test_an_alert_is_stale_only_after_its_repetition_is_overdue() -> None:
    assert len(routes()) > 1
    for matches, route in routes().items():
        if HEARTBEAT in matches:
            continue
        severity = matches.partition('"')[2].rstrip('"')
        every = selectors.REPEAT_EVERY.get(severity, selectors.REPEAT_EVERY_OTHER)
        assert (severity, duration(route["repeat_interval"])) == (severity, every)
        assert duration(route["group_interval"]) < selectors.REPEAT_LATE


def test_the_heartbeat_is_sent_often_enough() -> None:
    route = routes()[f'alertname = "{HEARTBEAT}"']
    max_age = selectors.HEARTBEAT_MAX_AGE
    assert 2 * (duration(route["repeat_interval"]) + duration(route["group_interval"])) < max_age


def test_alertmanager_sends_to_the_webhook() -> None:
    text = (settings.BASE_DIR.parent / "alerts" / "alertmanager.yml").read_text("utf-8")
    assert f"url: http://web:8000{webhook.PATH}\n" in text
