"""What visitors send in confidence reaches no log line, metric, alert or other person's page."""

from __future__ import annotations

import logging
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as current
from django.db import IntegrityError, connection
from django.test import Client

from oncall.models import Alert
from retail.models import Metric
from retail.observability.rows.recorder import recorder
from tests.fuzz.canaries import COOKIES, HEADERS, PATHS, QUERY, Lines, body_of, leaks
from tests.fuzz.forms import Form, forms_of
from tests.fuzz.hostile import FORM
from tests.fuzz.observers import _WRITE
from tests.fuzz.routes import routes
from tests.fuzz.world import TOKEN, World, make_world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django import Settings

    from tests.support import ScriptedGateway

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(scripted_gateway: ScriptedGateway, settings: Settings) -> World:
    settings.METRICS_TOKEN = "of-the-scrape"
    settings.THROTTLE_CHECKOUT_LIMIT = settings.THROTTLE_PASSWORD_RESET_LIMIT = 10**9
    return make_world()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Collect all lines of all loggers, those that are quiet in production too."""
    handler = Lines()
    quiet = ("django.request", "django.security")
    levels = {name: logging.getLogger(name).level for name in quiet}
    for name in quiet:
        logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger().addHandler(handler)
    yield handler.lines
    logging.getLogger().removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def client_of(world: World, actor: str, cookies: str = "") -> Client:
    client = Client(raise_request_exception=False)
    pairs = dict(pair.split("=") for pair in cookies.split("; ") if pair)
    for name, value in {**pairs, "sessionid": world.sessions[actor]}.items():
        client.cookies[name] = value
    return client


def paths_of(world: World) -> Iterator[tuple[str, str]]:
    """Yield a path of each route, with who gets in."""
    rng = Random(1)  # noqa: S311 - the same each time
    for route in routes():
        path = route.path(world.real(route, rng))
        for actor in ["staff"] if route.label == "admin" else ["nobody", "customer", "staff"]:
            yield actor, path


def forms(world: World) -> list[Form]:
    """Return every form, as those see it who may send it; those that log out come last."""
    found: dict[Any, Form] = {}
    for actor, path in paths_of(world):
        if "logout" in path:
            continue
        response = client_of(world, actor).get(path)
        if "html" in response.headers.get("Content-Type", ""):
            for form in forms_of(response.content.decode(), actor, path):
                found.setdefault(form.key, form)
    return sorted(found.values(), key=lambda form: "logout" in form.action)


def send(world: World, form: Form) -> int:
    client = client_of(world, form.actor)
    client.cookies["csrftoken"] = TOKEN
    status: int = client.generic("POST", form.action, body_of(form, TOKEN), FORM).status_code
    return status


def assert_nothing_leaked(world: World, lines: list[str]) -> None:
    recorder.flush()
    scrape = Client().get("/metrics", headers={"authorization": f"Bearer {current.METRICS_TOKEN}"})
    assert scrape.status_code == 200
    other = client_of(world, "clerk").get("/nowhere")
    rows = [str(row) for model in (Metric, Alert) for row in model.objects.values()]
    texts = [*lines, *scrape.content.decode().splitlines(), *rows, other.content.decode()]
    assert leaks(texts) == []


def test_no_header_query_or_path_is_logged_with_its_secrets(world: World, lines: list[str]) -> None:
    for actor, path in paths_of(world):
        client_of(world, actor, COOKIES).get(path, QUERY_STRING=QUERY, **HEADERS)
    sent = len(lines)
    assert sent > len(routes())
    assert_nothing_leaked(world, lines)


@pytest.mark.parametrize("https", [False, True])
@pytest.mark.parametrize("host", ["testserver", "evil.example"])
def test_no_path_is_logged_with_its_secrets(
    world: World, lines: list[str], settings: Settings, host: str, *, https: bool
) -> None:
    settings.SECURE_SSL_REDIRECT = https
    for path in PATHS:
        for method in ("GET", "POST"):
            Client(raise_request_exception=False).generic(method, path, HTTP_HOST=host)
    assert sum("event=http.request" in line for line in lines) == 2 * len(PATHS)
    assert_nothing_leaked(world, lines)


def test_no_form_is_logged_with_its_secrets(world: World, lines: list[str]) -> None:
    statuses = [send(world, form) for form in forms(world)]
    assert {200, 302, 400} <= set(statuses)
    assert_nothing_leaked(world, lines)


def refuse_writes(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
) -> Any:
    """Refuse a statement as PostgreSQL does, which quotes the row."""
    match = _WRITE.match(sql)
    if match is None or match[1] == "accounts_session":
        return execute(sql, params, many, context)
    row = ", ".join(map(str, params or ()))
    raise IntegrityError(
        f'null value in column "x" of relation "y"\nDETAIL:  Failing row contains ({row}).\n'
        f"LINE 1: {row}"
    )


@pytest.mark.django_db(transaction=True)
def test_no_failed_statement_is_logged_with_its_row(world: World, lines: list[str]) -> None:
    every = forms(world)
    with connection.execute_wrapper(refuse_writes):
        statuses = [send(world, form) for form in every]
    assert 500 in statuses
    assert any("Failing row contains ([hidden])" in line for line in lines)
    assert_nothing_leaked(world, lines)
