"""Recording of requests: id, log line, metrics."""

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from retail.observability import current_request_id
from retail.observability.middleware import ObservabilityMiddleware
from retail.observability.rows.recorder import recorder
from tests.retail.conftest import Lines
from tests.retail.pages import in_progress
from tests.support import make_buyer, moved

pytestmark = pytest.mark.django_db


def http(view: str, method: str, status: str) -> str:
    labels = f'view="{view}",method="{method}",status="{status}"'
    return f"retail_http_request_duration_seconds_count{{{labels}}}"


def test_a_request_is_one_line_with_its_fields(site: Client, lines: Lines) -> None:
    site.get("/products/?q=lamp", headers={"X-Request-ID": "r1"})
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
    assert changes == {http("unmatched", "GET", "5xx"): 1}
    assert in_progress() == before
    assert current_request_id() == ""


def test_the_whole_duration_of_a_fast_fail_is_observed(site: Client) -> None:
    with moved() as changes:
        site.get("/refuse/")
        site.get("/id/")
    assert changes == {
        "retail_fast_fail_duration_seconds_count": 1,
        http("refuse", "GET", "5xx"): 1,
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
