"""One JSON object per line, always with the same six keys, and without secrets."""

import dataclasses
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail.observability.context import request_context
from retail.observability.logs.formatter import JsonFormatter, log_event
from tests.retail.conftest import Lines


def line(message: object = "event=test", **extra: object) -> dict[str, Any]:
    """Return the formatted line of a record."""
    record = logging.LogRecord("retail.test", logging.WARNING, __file__, 1, message, None, None)
    record.__dict__.update(extra)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    parsed: dict[str, Any] = json.loads(text)
    return parsed


class Unspeakable:
    """An object without a text."""

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


def test_a_line_has_exactly_the_six_keys_in_their_order() -> None:
    written = line(product_id=7)
    assert list(written) == ["timestamp", "level", "logger", "message", "request_id", "extra"]
    del written["timestamp"]
    assert written == {
        "level": "WARNING",
        "logger": "retail.test",
        "message": "event=test",
        "request_id": "",
        "extra": {"product_id": 7},
    }


def test_the_timestamp_is_iso_8601_in_utc_with_its_offset() -> None:
    moment = datetime(2026, 11, 22, 23, 59, 59, 987000, tzinfo=UTC)
    assert line(created=moment.timestamp())["timestamp"] == "2026-11-22T23:59:59.987+00:00"


def test_a_library_message_becomes_the_text_of_an_event_named_log() -> None:
    written = line("Watching for file changes")
    assert written["message"] == "event=log"
    assert written["extra"] == {"text": "Watching for file changes"}


def test_a_message_that_is_a_dictionary_becomes_fields() -> None:
    assert line({"rows": 3})["extra"] == {"rows": 3, "text": ""}


def test_the_request_id_comes_from_the_context() -> None:
    with request_context("from-context"):
        assert line()["request_id"] == "from-context"


def test_a_request_id_on_the_record_takes_precedence_and_is_no_field() -> None:
    with request_context("from-context"):
        written = line(request_id="from-record")
    assert written["request_id"] == "from-record"
    assert written["extra"] == {}


def test_a_traceback_is_written_once() -> None:
    try:
        raise ValueError("stock of product 7")  # noqa: TRY301
    except ValueError:
        written = line(exc_info=sys.exc_info())
    assert list(written["extra"]) == ["traceback"]
    assert written["extra"]["traceback"].startswith("Traceback (most recent call last):\n")
    assert written["extra"]["traceback"].endswith("ValueError: stock of product 7")
    assert json.dumps(written).count("ValueError: stock") == 1


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "passwd",
        "new_password",
        "client_secret",
        "Authorization",
        "authorisation",
        "Cookie",
        "sessionid",
        "csrfmiddlewaretoken",
        "payment_token",
        "api_key",
        "APIKEY",
        "card_number",
        "email",
        "mail",
    ],
)
def test_values_of_fields_with_secret_names_are_hidden(name: str) -> None:
    assert line(**{name: "hunter2"})["extra"] == {name: "[hidden]"}
    assert line(headers={name: "hunter2"})["extra"] == {"headers": {name: "[hidden]"}}
    assert line(forms=[{name: ["hunter2"]}])["extra"] == {"forms": [{name: "[hidden]"}]}


def test_fields_with_similar_names_are_shown() -> None:
    fields = {
        "payment_key": "k1",
        "order_ref": "VT-1",
        "task": "prune",
        "path": "/",
        "user_id": "1",
    }
    assert line(**fields)["extra"] == fields


def test_an_email_address_is_hidden_everywhere() -> None:
    address = "bea.buyer+shop@post.example.com"
    try:
        raise ValueError(f"no mailbox for {address}")  # noqa: TRY301
    except ValueError as error:
        written = line(
            f"event=letter to {address}",
            path=f"/find/{address}/",
            people=[address, (address,), {"by": {address}}],
            found={address: 1},
            error=error,
            exc_info=sys.exc_info(),
        )
    assert "bea" not in json.dumps(written)
    assert "example.com" not in json.dumps(written)
    assert written["message"] == "event=letter to [e-mail]"
    assert written["extra"]["path"] == "/find/[e-mail]/"
    assert written["extra"]["people"] == ["[e-mail]", ["[e-mail]"], {"by": ["[e-mail]"]}]
    assert written["extra"]["found"] == {"[e-mail]": 1}
    assert written["extra"]["error"] == "ValueError: no mailbox for [e-mail]"
    assert line(f"Sent to {address}.")["extra"] == {"text": "Sent to [e-mail]"}


@given(
    local=st.from_regex(r"[a-z0-9][a-z0-9.+_-]{0,15}", fullmatch=True),
    host=st.from_regex(r"[a-z0-9-]{1,10}(\.[a-z0-9]{2,5}){1,2}", fullmatch=True),
    before=st.sampled_from(["", "to ", "<", "a@ ", "x" * 50 + " "]),
)
def test_no_email_address_is_logged(local: str, host: str, before: str) -> None:
    written = line(fact=f"{before}{local}@{host}")
    assert f"{local}@{host}" not in written["extra"]["fact"]
    assert written["extra"]["fact"] == f"{before}[e-mail]"


def test_values_that_json_cannot_represent_become_text() -> None:
    round_and_round: dict[str, object] = {"password": "hunter2"}
    round_and_round["again"] = round_and_round
    written = line(
        unspeakable=Unspeakable(),
        huge=2**64,
        half="half \ud800 a character of a@example.com",
        circle=round_and_round,
        keys={(1, 2): 3},
        product_id=7,
    )["extra"]
    assert written["unspeakable"] == "__could_not_encode__"
    assert written["huge"] == "18446744073709551616"
    assert written["half"] == "half \\ud800 a character of [e-mail]"
    assert written["keys"] == {"(1, 2)": 3}
    assert written["product_id"] == 7
    assert "[too deep]" in json.dumps(written["circle"])
    assert "hunter2" not in json.dumps(written["circle"])


def test_a_lone_surrogate_in_a_message_is_written_as_an_escape() -> None:
    assert line("half \ud800")["extra"] == {"text": "half \\ud800"}


def test_usual_types_have_their_usual_form() -> None:
    @dataclasses.dataclass
    class Point:
        x: int

    written = line(
        at=datetime(2026, 11, 22, 12, tzinfo=UTC),
        key=UUID(int=1),
        point=Point(2),
        nothing=None,
        not_a_number=float("nan"),
        ids={3},
    )["extra"]
    assert written == {
        "at": "2026-11-22T12:00:00+00:00",
        "key": "00000000-0000-0000-0000-000000000001",
        "point": {"x": 2},
        "nothing": None,
        "not_a_number": None,
        "ids": [3],
    }


def test_objects_attached_by_django_are_no_fields() -> None:
    assert line(request=object(), response=object(), server_time="now", status_code=500)[
        "extra"
    ] == {"status_code": 500}


def test_a_line_is_formatted_once_for_all_handlers() -> None:
    record = logging.LogRecord("retail.test", logging.INFO, __file__, 1, "event=test", None, None)
    with request_context("first"):
        text = JsonFormatter().format(record)
    assert JsonFormatter().format(record) == text
    assert json.loads(text)["request_id"] == "first"
    assert json.loads(text)["extra"] == {}


def test_log_event_logs_like_logger_log(lines: Lines) -> None:
    logger = logging.getLogger("retail.test")
    with request_context("r1"):
        logger.warning("event=test", extra={"product_id": 7})
        log_event(logger, logging.WARNING, "event=test", {"product_id": 7})
    usual, quick = lines()
    assert datetime.fromisoformat(quick.pop("timestamp")) >= datetime.fromisoformat(
        usual.pop("timestamp")
    )
    assert quick == usual


def test_events_below_the_level_are_not_logged(lines: Lines) -> None:
    logger = logging.getLogger("retail.test")
    logger.setLevel(logging.ERROR)
    try:
        log_event(logger, logging.WARNING, "event=test", {})
    finally:
        logger.setLevel(logging.NOTSET)
    assert lines() == []
