"""Recording of requests: id, log line, metrics."""

import time

import pytest
from django.conf import settings as configured
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import get_resolver, resolve
from pytest_django import Settings

from orders.metrics import CHECKOUT_VIEW
from retail.observability import current_request_id
from retail.observability.context import at_answer, request_context, waited
from retail.observability.middleware import ObservabilityMiddleware, view_name
from retail.observability.prometheus import catalogue
from retail.observability.rows.recorder import recorder
from tests.retail.conftest import Lines
from tests.retail.pages import in_progress
from tests.support import make_buyer, moved

pytestmark = pytest.mark.django_db


def failed(view: str) -> str:
    return f'retail_http_errors_total{{view="{view}"}}'


def http(view: str, method: str, status: str) -> str:
    labels = f'view="{view}",method="{method}",status="{status}"'
    return f"retail_http_request_duration_seconds_count{{{labels}}}"


def test_a_request_is_one_line_with_its_fields(
    site: Client, settings: Settings, lines: Lines
) -> None:
    settings.TRUSTED_PROXIES = 1
    headers = {"X-Request-ID": "r1", "X-Forwarded-For": "198.51.100.1"}
    site.get("/products/?q=lamp", headers=headers)
    (line,) = lines()
    assert line["extra"].pop("duration_ms") > 0
    del line["timestamp"]
    assert line == {
        "level": "INFO",
        "logger": "retail.observability",
        "message": "event=http.request",
        "request_id": "r1",
        "extra": {
            "method": "GET",
            "path": "/products/",
            "view": "products:list",
            "status": 200,
            "user_id": None,
            "client": "198.51.100.1",
        },
    }


def test_a_line_has_the_user_id_if_the_view_used_it(site: Client, lines: Lines) -> None:
    buyer = make_buyer()
    site.force_login(buyer)
    site.get("/orders/")
    assert lines()[-1]["extra"]["user_id"] == str(buyer.pk)


def test_a_server_error_is_a_warning(site: Client, lines: Lines) -> None:
    site.get("/fail/")
    assert (lines()[-1]["level"], lines()[-1]["extra"]["status"]) == ("WARNING", 500)
    site.get("/no-such-page/")
    assert (lines()[-1]["level"], lines()[-1]["extra"]["status"]) == ("INFO", 404)


def test_requests_are_counted_by_view_method_and_class_of_status(site: Client) -> None:
    with moved() as changes:
        site.get("/products/")
        site.get("/products/?page=2")
        site.head("/products/")
        site.get("/products/no-such-product/")
        site.get("/fail/")
        site.get("/nameless/")
    assert changes == {
        http("products:list", "GET", "2xx"): 2,
        http("products:list", "HEAD", "2xx"): 1,
        http("products:detail", "GET", "4xx"): 1,
        http("fail", "GET", "5xx"): 1,
        failed("fail"): 1,
        http("unnamed", "GET", "2xx"): 1,
    }


def test_unknown_paths_and_methods_create_no_series(site: Client) -> None:
    with moved() as changes:
        for method in ("TRACE", "BREW", "PROPFIND", "OTHER"):
            site.generic(method, "/fail/")
        for number in range(3):
            site.get(f"/no-such-page-{number}/")
        site.get("/", headers={"Host": "evil.example"})
    assert changes == {
        http("fail", "other", "5xx"): 4,
        failed("fail"): 4,
        http("unmatched", "GET", "4xx"): 4,
    }


def test_the_admin_is_one_view(site: Client) -> None:
    site.force_login(User.objects.create_superuser("root", password="correct-horse-battery"))
    with moved() as changes:
        assert site.get("/admin/").status_code == 200
        assert site.get("/admin/retail/metric/").status_code == 200
        assert site.get("/admin/products/product/add/").status_code == 200
    assert changes == {http("admin", "GET", "2xx"): 3}


def test_requests_in_progress_are_decremented_after_an_exception(site: Client) -> None:
    before = in_progress()
    assert site.get("/id/").json()["in_progress"] == before + 1
    site.get("/fail/")
    assert in_progress() == before

    def stop(request: HttpRequest) -> HttpResponse:
        raise SystemExit

    with moved() as changes, pytest.raises(SystemExit):
        ObservabilityMiddleware(stop)(RequestFactory().get("/"))
    assert changes == {http("products:home", "GET", "5xx"): 1, failed("products:home"): 1}
    assert in_progress() == before
    assert current_request_id() == ""


def test_the_whole_duration_of_a_fast_fail_is_observed(site: Client) -> None:
    with moved() as changes:
        site.get("/refuse/")
        site.get("/id/")
    assert changes == {
        "retail_fast_fail_duration_seconds_count": 1,
        http("refuse", "GET", "5xx"): 1,
        failed("refuse"): 1,
        http("id", "GET", "2xx"): 1,
    }
    fast = [fields for _, _, fields in recorder.intervals.drain() if "fast_fails" in fields]
    assert [fields["fast_fails"] for fields in fast] == [1]
    assert sum(fast[0]["fast_fail_buckets"]) == 1
    assert fast[0]["fast_fail_max_ms"] > 0


def test_requests_are_added_to_the_current_interval(site: Client) -> None:
    for address in ("/id/", "/no-such-page/", "/fail/", "/id/"):
        site.get(address)
    error_rate, response_time = recorder.intervals.drain()
    assert error_rate[:2] == ("error_rate", 25.0)
    assert error_rate[2]["client_errors"] == 1
    assert response_time[2]["count"] == 4


def test_probes_by_head_are_in_no_interval_unless_they_fail(site: Client) -> None:
    site.head("/id/")
    assert recorder.intervals.drain() == []
    site.head("/fail/")
    [error_rate, _] = recorder.intervals.drain()
    assert error_rate[:2] == ("error_rate", 100.0)


def test_the_first_error_of_every_view_is_an_increase(site: Client, settings: Settings) -> None:
    site.get("/id/")  # builds the middleware, as the start of the server does
    errors = {
        sample.labels["view"]: sample.value
        for family in catalogue.HTTP_ERRORS._parent.collect()
        for sample in family.samples
    }
    assert {"fail", "refuse", "orders:checkout", "admin", "unnamed", "unmatched"} <= set(errors)
    assert "admin:index" not in errors
    resolver = get_resolver(settings.ROOT_URLCONF)
    for address in ("/", "/cart/", "/checkout/", "/metrics/dashboard/", "/accounts/login/"):
        assert view_name(resolver.resolve(address)) in errors


def test_every_status_of_a_checkout_exists_before_the_first() -> None:
    samples = {
        (sample.labels["view"], sample.labels["method"], sample.labels["status"])
        for family in catalogue.HTTP_DURATION._parent.collect()
        for sample in family.samples
    }
    statuses = ("1xx", "2xx", "3xx", "4xx", "5xx")
    assert {(CHECKOUT_VIEW, "POST", status) for status in statuses} <= samples
    assert view_name(resolve("/checkout/")) == CHECKOUT_VIEW


def test_a_checkout_that_fails_before_its_view_counts_as_a_failed_checkout() -> None:
    def lose_the_database(request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=503)

    with moved() as changes:
        ObservabilityMiddleware(lose_the_database)(RequestFactory().post("/checkout/"))
        ObservabilityMiddleware(lose_the_database)(RequestFactory().post("/no-such-page/"))
    assert changes == {
        http("orders:checkout", "POST", "5xx"): 1,
        failed("orders:checkout"): 1,
        http("unmatched", "POST", "5xx"): 1,
        failed("unmatched"): 1,
    }


def test_it_is_the_outermost_middleware() -> None:
    first = f"{ObservabilityMiddleware.__module__}.{ObservabilityMiddleware.__qualname__}"
    assert configured.MIDDLEWARE[0] == first


@pytest.mark.parametrize(("status", "counted"), [(200, 0), (204, 0), (404, 0), (500, 1), (503, 1)])
def test_an_uncounted_request_counts_only_if_it_fails(
    lines: Lines, status: int, counted: int
) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        request.uncounted = True  # type: ignore[attr-defined]
        at_answer(lambda _seconds, _request_id: observed.append(1), 0)
        return HttpResponse(status=status)

    observed: list[int] = []
    request = RequestFactory().get("/cart/")
    request.resolver_match = resolve("/cart/")
    with moved() as changes:
        ObservabilityMiddleware(view)(request)
    expected = {http("cart:view", "GET", "5xx"): 1, failed("cart:view"): 1}
    assert changes == (expected if counted else {})
    assert recorder.intervals.empty is not bool(counted)
    assert len(observed) == counted
    assert lines()[-1]["extra"]["status"] == status  # the log has every request


def test_the_time_of_a_request_includes_its_wait_for_a_thread(
    site: Client, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waited, "seconds", 4000.0)
    site.get("/id/")
    assert lines()[-1]["extra"]["duration_ms"] > 4_000_000
    error_rate, response_time = recorder.intervals.drain()
    assert error_rate[2]["count"] == 1
    assert response_time[1] > 4_000_000


def test_what_is_observed_at_the_answer_gets_the_whole_time(site: Client) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        at_answer(lambda seconds, request_id: seen.append((seconds, request_id)), 0)
        assert seen == []
        return HttpResponse()

    def late(request: HttpRequest) -> HttpResponse:
        response = view(request)
        time.sleep(0.02)
        return response

    seen: list[tuple[float, str]] = []
    response = ObservabilityMiddleware(late)(RequestFactory().get("/"))
    [(seconds, request_id)] = seen
    assert seconds >= 0.02
    assert request_id == response.headers["X-Request-ID"]
    seen.clear()
    with request_context("a-job"):
        at_answer(lambda seconds, request_id: seen.append((seconds, request_id)), 1.5)
    assert seen == [(1.5, "a-job")]


@pytest.mark.parametrize(("trusted", "counted"), [(1, True), (0, False)])
def test_the_time_of_a_request_includes_its_way_from_a_trusted_proxy(
    site: Client, settings: Settings, lines: Lines, trusted: int, counted: bool
) -> None:
    settings.TRUSTED_PROXIES = trusted
    site.get("/id/", headers={"X-Request-Start": f"t={time.time() - 30:.3f}"})
    assert (lines()[-1]["extra"]["duration_ms"] >= 30_000) == counted
