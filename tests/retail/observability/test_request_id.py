"""Request ids: accepted or new, and sent with every response."""

from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from hypothesis import example, given
from hypothesis import strategies as st
from pytest_django import Settings

from retail.observability import current_request_id
from retail.observability.context import accepted_request_id
from tests.retail.conftest import Lines
from tests.support import make_buyer, moved

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("trusted_proxy")]


def is_new(request_id: str) -> bool:
    return str(UUID(request_id)) == request_id and UUID(request_id).version == 4


@pytest.mark.parametrize(
    "offered", ["a", "550e8400-e29b-41d4-a716-446655440000", "0._-Z", "x" * 64]
)
def test_a_well_formed_request_id_is_kept(site: Client, offered: str) -> None:
    response = site.get("/id/", headers={"X-Request-ID": offered})
    assert response.headers["X-Request-ID"] == offered
    assert response.json()["id"] == offered


@pytest.mark.parametrize(
    "offered",
    [
        "",
        " ",
        "x" * 65,
        "two words",
        "a\nb",
        "a\r\nSet-Cookie: b",
        "é",
        "\u0661",
        "-a",
        ".a",
        "a/b",
        "a@b",
    ],
)
def test_a_malformed_request_id_is_replaced(site: Client, offered: str) -> None:
    response = site.get("/id/", headers={"X-Request-ID": offered})
    assert is_new(response.headers["X-Request-ID"])
    assert response.json()["id"] == response.headers["X-Request-ID"]


@given(st.text())
@example("a\n")
def test_only_well_formed_request_ids_are_accepted(offered: str) -> None:
    accepted = accepted_request_id(offered)
    well_formed = (
        offered.isascii()
        and len(offered) <= 64
        and offered[:1].isalnum()
        and offered.translate(dict.fromkeys(map(ord, "._-"))).isalnum()
    )
    assert accepted == offered if well_formed else is_new(accepted)


def test_each_request_without_an_id_gets_its_own(site: Client) -> None:
    first, second = (site.get("/id/").headers["X-Request-ID"] for _ in range(2))
    assert is_new(first)
    assert first != second
    assert current_request_id() == ""


@pytest.mark.parametrize(
    ("address", "host", "status"),
    [
        ("/", "testserver", 200),
        ("/cart/add/", "testserver", 405),
        ("/orders/", "testserver", 302),
        ("/no-such-page/", "testserver", 404),
        ("/fail/", "testserver", 500),
        ("/", "evil.example", 400),
        ("/metrics", "testserver", 401),
        ("/healthz", "evil.example", 200),
        ("/readyz", "evil.example", 200),
        ("/metrics/alerts/", "testserver", 302),
    ],
)
def test_every_response_has_the_id(site: Client, address: str, host: str, status: int) -> None:
    headers = {"X-Request-ID": "the-id", "Host": host}
    response = site.get(address, headers=headers)
    assert response.status_code == status
    assert response.headers["X-Request-ID"] == "the-id"


def test_refused_probes_and_notifications_have_the_id(site: Client) -> None:
    headers = {"X-Request-ID": "the-id"}
    for address, status in (("/healthz", 405), ("/metrics", 405), ("/metrics/alerts/", 401)):
        response = site.post(address, headers=headers)
        assert (response.status_code, response.headers["X-Request-ID"]) == (status, "the-id")


def test_a_static_file_has_an_id_but_is_not_counted(client: Client) -> None:
    with moved() as changes:
        answer = client.head("/static/vitrine/vitrine.css")
    assert answer.status_code == 200
    assert answer.headers["X-Request-ID"]
    assert changes == {}


OFFERED = {"X-Request-ID": "of-another-customer"}


@pytest.fixture
def stranger(site: Client, settings: Settings) -> Client:
    """A client that no proxy stands in front of."""
    settings.TRUSTED_PROXIES = 0
    return site


@pytest.mark.parametrize("debug", [False, True])
def test_a_stranger_cannot_join_another_trace(
    stranger: Client, settings: Settings, lines: Lines, debug: bool
) -> None:
    settings.DEBUG, settings.METRICS_TOKEN = debug, ""
    stranger.force_login(make_buyer())
    response = stranger.get("/id/", headers=OFFERED)
    assert is_new(response.headers["X-Request-ID"])
    assert response.json()["id"] == response.headers["X-Request-ID"]
    line = lines()[-1]  # after the log-in's
    assert line["request_id"] == response.headers["X-Request-ID"]
    assert line["extra"]["client_request_id"] == "of-another-customer"


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic right"])
def test_a_wrong_token_is_a_strangers(
    stranger: Client, settings: Settings, authorization: str
) -> None:
    settings.METRICS_TOKEN = "right"
    headers = {**OFFERED, "Authorization": authorization}
    assert is_new(stranger.get("/id/", headers=headers).headers["X-Request-ID"])


def test_nonsense_of_a_stranger_is_not_logged(stranger: Client, lines: Lines) -> None:
    stranger.get("/id/", headers={"X-Request-ID": "two words"})
    assert "client_request_id" not in lines()[0]["extra"]


def test_who_has_the_metrics_token_names_the_request(
    stranger: Client, settings: Settings, lines: Lines
) -> None:
    settings.METRICS_TOKEN = "right"
    headers = {**OFFERED, "Authorization": "Bearer right"}
    assert stranger.get("/id/", headers=headers).json()["id"] == "of-another-customer"
    assert lines()[0]["request_id"] == "of-another-customer"
    assert "client_request_id" not in lines()[0]["extra"]


def test_staff_name_the_request(stranger: Client, lines: Lines) -> None:
    user = make_buyer()
    User.objects.filter(pk=user.pk).update(is_staff=True)
    stranger.force_login(user)
    response = stranger.get("/id/", headers=OFFERED)
    assert response.json()["id"] == "of-another-customer"
    assert response.headers["X-Request-ID"] == "of-another-customer"
    assert lines()[-1]["request_id"] == "of-another-customer"
    assert "client_request_id" not in lines()[-1]["extra"]
    page = stranger.get("/fail/", headers=OFFERED).content.decode()
    assert "of-another-customer" in page
    assert current_request_id() == ""


THROUGH_THE_PROXY = {"X-Request-ID": "of-the-proxy", "X-Client-Request-ID": "of-another-customer"}


def test_a_strangers_id_is_not_kept_through_a_proxy(site: Client, lines: Lines) -> None:
    response = site.get("/id/", headers=THROUGH_THE_PROXY)
    assert response.headers["X-Request-ID"] == "of-the-proxy"
    assert lines()[0]["request_id"] == "of-the-proxy"
    assert lines()[0]["extra"]["client_request_id"] == "of-another-customer"


def test_staff_and_who_has_the_token_name_the_request_through_a_proxy(
    site: Client, settings: Settings
) -> None:
    settings.METRICS_TOKEN = "right"
    headers = {**THROUGH_THE_PROXY, "Authorization": "Bearer right"}
    assert site.get("/id/", headers=headers).json()["id"] == "of-another-customer"
    user = make_buyer()
    User.objects.filter(pk=user.pk).update(is_staff=True)
    site.force_login(user)
    response = site.get("/id/", headers=THROUGH_THE_PROXY)
    assert response.headers["X-Request-ID"] == "of-another-customer"


def test_without_a_proxy_there_is_no_clients_id(stranger: Client, lines: Lines) -> None:
    response = stranger.get("/id/", headers={"X-Client-Request-ID": "of-another-customer"})
    assert is_new(response.headers["X-Request-ID"])
    assert "client_request_id" not in lines()[0]["extra"]
