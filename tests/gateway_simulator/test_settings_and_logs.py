import io
import json
import logging
import logging.config
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from gateway_simulator import logs, settings
from tests.gateway_simulator.support import Call


def read_settings(**env: str) -> settings.Settings:
    return settings.read({"DEBUG": "True", "LOG_DIR": "l", "GATEWAY_LEDGER": "g.sqlite3", **env})


def test_default_settings() -> None:
    got = settings.read({"DEBUG": "True"})
    home = Path(settings.__file__).resolve().parents[2]
    assert (got.address, got.api_key) == ("127.0.0.1:8001", "dev-gateway-key")
    assert (got.faults_token, got.log_level) == ("dev-faults-token", "INFO")
    assert got.console_level == "INFO"
    assert (got.ledger, got.log_dir) == (home / "var" / "gateway.sqlite3", home / "logs")
    assert "dev-gateway-key" not in repr(got)
    assert "dev-faults-token" not in repr(got)


def test_limits_of_amounts() -> None:
    assert (read_settings().least, read_settings().most) == (Decimal("0.01"), Decimal("999999.99"))
    got = read_settings(GATEWAY_MIN_AMOUNT="0.50", GATEWAY_MAX_AMOUNT="1234567.89")
    assert (got.least, got.most) == (Decimal("0.50"), Decimal("1234567.89"))


@pytest.mark.parametrize("value", ["0", "0.00", "-1", "1.234", "NaN", "1e3", "12345678901"])
def test_limits_that_are_no_amounts(value: str) -> None:
    with pytest.raises(settings.SettingsError, match=r"GATEWAY_MIN_AMOUNT='.*' must be an amount"):
        read_settings(GATEWAY_MIN_AMOUNT=value)


def test_settings_of_other_hosts() -> None:
    assert read_settings(GATEWAY_HOST="::1").address == "[::1]:8001"
    assert read_settings(LOG_LEVEL="debug").console_level == "DEBUG"
    for host in ("127.0.0.1", "::1", "localhost"):
        assert read_settings(GATEWAY_HOST=host).exposed_defaults() == []
    both = ["GATEWAY_API_KEY", "GATEWAY_FAULTS_TOKEN"]
    assert read_settings(GATEWAY_HOST="0.0.0.0").exposed_defaults() == both  # noqa: S104 - not bound here
    assert read_settings(GATEWAY_HOST="gateway", GATEWAY_API_KEY="k").exposed_defaults() == both[1:]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY_PORT", "http"),
        ("GATEWAY_PORT", "65536"),
        ("GATEWAY_PORT", "-1"),
        ("GATEWAY_PORT", ""),
        ("GATEWAY_HOST", " "),
        ("GATEWAY_API_KEY", ""),
        ("GATEWAY_API_KEY", "two words"),
        ("GATEWAY_FAULTS_TOKEN", "clé"),
        ("GATEWAY_LEDGER", ""),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_CONSOLE_LEVEL", "LOUD"),
    ],
)
def test_bad_settings(name: str, value: str) -> None:
    with pytest.raises(settings.SettingsError, match=f"^{name}(=| is | must )"):
        read_settings(**{name: value})


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Capture the formatted lines of the gateway's logger and of a library's."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(logs.JsonFormatter())
    chosen = [logging.getLogger("elsewhere"), logs.LOGGER]
    for logger in chosen:
        logger.addHandler(handler)
        logger.setLevel("INFO")
    yield handler.stream
    for logger in chosen:
        logger.removeHandler(handler)
        logger.setLevel("NOTSET")


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_log_lines_have_one_shape(stream: io.StringIO) -> None:
    logs.event("gateway.test", key="k1")
    logging.getLogger("elsewhere").warning("%d words", 3)
    try:
        int("boom")
    except ValueError:
        logging.getLogger("elsewhere").exception("Line 1\nLine 2")
    own, foreign, failure = written(stream)
    keys = ["timestamp", "level", "logger", "message", "request_id", "extra"]
    assert [list(record) for record in (own, foreign, failure)] == [keys] * 3
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", own.pop("timestamp"))
    assert own == {
        "level": "INFO",
        "logger": "gateway_simulator",
        "message": "event=gateway.test",
        "request_id": None,
        "extra": {"key": "k1"},
    }
    assert (foreign["message"], foreign["level"]) == ("event=log", "WARNING")
    assert foreign["extra"] == {"text": "3 words"}
    assert failure["extra"]["text"] == "Line 1\nLine 2"
    assert failure["extra"]["exc_info"].endswith("with base 10: 'boom'")


def test_charge_is_logged_without_secrets(charge: Call, stream: io.StringIO) -> None:
    answer = charge(token="tok_secret_card")
    (record,) = written(stream)
    assert record["message"] == "event=gateway.charge"
    assert record["request_id"] == answer.headers["X-Request-ID"]
    assert record["extra"].pop("duration_ms") >= 0
    assert record["extra"] == {
        "method": "POST",
        "path": "/v1/charges",
        "http_status": 402,
        "outcome": "declined",
        "key": "k1",
        "amount": "12.50",
        "currency": "EUR",
        "reference": "VT-ABC",
        "charge": "declined",
        "replayed": False,
    }
    assert logs.request_id.get() is None


def test_health_and_metrics_are_logged_for_debugging_only(
    client: FlaskClient, stream: io.StringIO
) -> None:
    client.get("/healthz")
    client.get("/metrics")
    assert written(stream) == []


def test_log_file_is_followed_when_another_process_rotates_it(tmp_path: Path) -> None:
    name = tmp_path / "gateway.log"
    ours = logs.FollowingFileHandler(name)
    record = logging.LogRecord("x", logging.INFO, "", 0, "one", None, None)
    ours.emit(record)
    name.rename(tmp_path / "gateway.log.1")
    ours.emit(record)
    ours.close()
    assert (name.read_text(), (tmp_path / "gateway.log.1").read_text()) == ("one\n", "one\n")


def test_log_configuration(tmp_path: Path) -> None:
    chosen = read_settings(LOG_LEVEL="WARNING", LOG_CONSOLE_LEVEL="DEBUG", LOG_DIR=str(tmp_path))
    built = logs.config(chosen)
    assert built["root"]["level"] == "DEBUG"
    assert built["handlers"]["console"]["level"] == "DEBUG"
    file = built["handlers"]["file"]
    assert (file["level"], file["filename"]) == ("WARNING", str(tmp_path / "gateway.log"))
    assert (file["maxBytes"], file["backupCount"]) == (20 * 1024 * 1024, 5)
