"""The shop refuses to start with development settings in production, and says what to set."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from config.settings import _postgres_options

PRODUCTION = {
    "DEBUG": "False",
    "SECRET_KEY": "m2#vQ8!zR5pL0wX9cT4nB7kJ1sD6fG3hY-uE2aI8oP5qW0eZ0123",
    "GATEWAY_API_KEY": "a-key-of-its-own",
    "METRICS_TOKEN": "a-token-of-its-own",
    "ALERTS_TOKEN": "another-token-of-its-own",
    "ALLOWED_HOSTS": "shop.example.com",
    "EMAIL_HOST": "mail.example.com",
    "DATABASE_URL": "postgresql://shop:a-long-password@127.0.0.1:1/shop",
}
UNREADABLE = (
    "DATABASE_URL is invalid: use sqlite:///path or postgresql://user:password@host:port/name."
)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    return {"VAR_DIR": str(tmp_path / "var"), "LOG_DIR": str(tmp_path / "logs")}


DEVELOPMENT = {"DEBUG": "True"}


def check(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py check` with only `environment`."""
    return subprocess.run(
        [sys.executable, "manage.py", "check", *arguments],
        cwd=settings.BASE_DIR,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def refusal(environment: dict[str, str]) -> str:
    """Return the message with which the shop refuses to start."""
    result = check(environment)
    assert result.returncode != 0
    assert result.stdout == ""
    kind, _, sentence = result.stderr.strip().splitlines()[-1].partition(": ")
    assert kind == "django.core.exceptions.ImproperlyConfigured"
    return sentence


def test_a_gateways_name_is_its_address_without_credentials(folders: dict[str, str]) -> None:
    secret, too_long = "http://user:" + 100 * "s" + "@{}/api", 97 * "g"
    assert (
        check({**DEVELOPMENT, **folders, "GATEWAY_URL": secret.format(too_long[1:])}).returncode
        == 0
    )
    for named in ({}, {"GATEWAY_NAME": 101 * "x"}):
        sentence = refusal(
            {**DEVELOPMENT, **folders, "GATEWAY_URL": secret.format(too_long), **named}
        )
        assert sentence == "Set GATEWAY_NAME to a name of at most 100 characters."
    named = {"GATEWAY_URL": secret.format(too_long), "GATEWAY_NAME": "ours"}
    assert check({**DEVELOPMENT, **folders, **named}).returncode == 0


def test_development_needs_no_settings(folders: dict[str, str]) -> None:
    result = check({**DEVELOPMENT, **folders})
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "System check identified no issues (0 silenced).\n"


def test_a_complete_production_environment_passes_all_checks(folders: dict[str, str]) -> None:
    result = check({**PRODUCTION, **folders}, "--deploy", "--fail-level", "DEBUG")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "System check identified no issues (1 silenced).\n"


def test_without_settings_it_says_what_to_set(folders: dict[str, str]) -> None:
    assert refusal(folders) == (
        "With DEBUG off, set ALERTS_TOKEN, ALLOWED_HOSTS, EMAIL_HOST, GATEWAY_API_KEY, "
        "METRICS_TOKEN, SECRET_KEY in the environment (see .env.example), or set DEBUG=True for "
        "development."
    )


@pytest.mark.parametrize(
    ("changed", "warnings"),
    [
        ({"DATABASE_URL": "sqlite://"}, []),
        ({"DATABASE_URL": "postgresql:///shop"}, []),
        (
            {"HTTPS": "False"},
            ["security.W004", "security.W008", "security.W011", "security.W016"],
        ),
        ({"GATEWAY_URL": "http://192.0.2.1"}, ["config.W001"]),
        ({"GATEWAY_URL": "https://127.0.0.1:1"}, []),
        ({"EMAIL_HOST_USER": "shop"}, ["config.W002"]),
        ({"EMAIL_HOST_USER": "shop", "EMAIL_USE_TLS": "True"}, []),
        ({"CSRF_TRUSTED_ORIGINS": "https://a.example"}, []),
        ({"CSRF_TRUSTED_ORIGINS": "http://a.example"}, ["config.W003"]),
        ({"CSRF_TRUSTED_ORIGINS": "https://*.example"}, ["config.W003"]),
        ({"DEMO": "True", "GATEWAY_API_KEY": "dev-gateway-key"}, ["config.W004"]),
        ({"STAFF_MFA": "False"}, ["config.W005"]),
        ({"FEEDS_ALLOW_PRIVATE": "True"}, ["config.W006"]),
    ],
)
def test_what_is_weak_but_allowed_is_named(
    folders: dict[str, str], changed: dict[str, str], warnings: list[str]
) -> None:
    result = check({**PRODUCTION, **folders, **changed}, "--deploy")
    assert result.returncode == 0
    assert sorted(re.findall(r"^\?: \((.+?)\)", result.stderr, re.MULTILINE)) == warnings


@pytest.mark.parametrize("password", ["0x", "secret", "retail_password", "retail%5Fpassword"])
def test_a_weak_password_of_the_database_is_refused_and_not_shown(
    folders: dict[str, str], password: str
) -> None:
    url = {"DATABASE_URL": f"postgresql://shop:{password}@127.0.0.1:1/shop"}
    sentence = refusal({**PRODUCTION, **folders, **url})
    assert "the password in DATABASE_URL" in sentence
    assert password not in sentence.replace("the password in", "")


@pytest.mark.parametrize("hosts", ["*", "shop.example.com,*"])
def test_production_serves_no_host_of_a_strangers_choice(
    folders: dict[str, str], hosts: str
) -> None:
    assert "set ALLOWED_HOSTS" in refusal({**PRODUCTION, **folders, "ALLOWED_HOSTS": hosts})


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY"),
        (
            {"SECRET_KEY": "development-only-secret-key-never-use-it-with-debug-off"},
            "SECRET_KEY",
        ),
        ({"GATEWAY_API_KEY": ""}, "GATEWAY_API_KEY"),
        ({"GATEWAY_API_KEY": "dev-gateway-key"}, "GATEWAY_API_KEY"),
        ({"METRICS_TOKEN": " "}, "METRICS_TOKEN"),
        ({"ALERTS_TOKEN": ""}, "ALERTS_TOKEN"),
        ({"ALLOWED_HOSTS": " , "}, "ALLOWED_HOSTS"),
        (
            dict.fromkeys(PRODUCTION.keys() - {"DEBUG", "DATABASE_URL"}, ""),
            "ALERTS_TOKEN, ALLOWED_HOSTS, EMAIL_HOST, GATEWAY_API_KEY, METRICS_TOKEN, SECRET_KEY",
        ),
    ],
)
def test_production_refuses_development_secrets(
    folders: dict[str, str], changed: dict[str, str], named: str
) -> None:
    assert refusal({**PRODUCTION, **folders, **changed}) == (
        f"With DEBUG off, set {named} in the environment "
        "(see .env.example), or set DEBUG=True for development."
    )


def test_production_refuses_a_weak_secret(folders: dict[str, str]) -> None:
    short = {"SECRET_KEY": PRODUCTION["SECRET_KEY"][:49], "METRICS_TOKEN": "abcd" * 10}
    assert refusal({**PRODUCTION, **folders, **short}) == (
        "With DEBUG off, SECRET_KEY must have at least 50 characters, 5 of them different. "
        "With DEBUG off, METRICS_TOKEN must have at least 16 characters, 5 of them different."
    )


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DEBUG", "maybe", "DEBUG='maybe' is not a boolean: use True or False."),
        ("HTTPS", "2", "HTTPS='2' is not a boolean: use True or False."),
        (
            "BREAKER_FAIL_MAX",
            "0",
            "BREAKER_FAIL_MAX='0' must be a number of at least 1.",
        ),
        (
            "GATEWAY_READ_TIMEOUT",
            "soon",
            "GATEWAY_READ_TIMEOUT='soon' must be a number of at least 0.05.",
        ),
        (
            "METRIC_KEEP_DAYS",
            "2.5",
            "METRIC_KEEP_DAYS='2.5' must be a whole number from 1 to 36500.",
        ),
        ("CURRENCY", "XXX", "CURRENCY='XXX' must be one of: EUR, GBP, USD."),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL='LOUD' must be one of: DEBUG, INFO, WARNING, ERROR."),
        ("LOG_FLUSH_SECONDS", "-1", "LOG_FLUSH_SECONDS='-1' must be a number of at least 0."),
        ("DATABASE_URL", "mysql://a:b@c/d", "DATABASE_URL must name SQLite or PostgreSQL."),
        ("DATABASE_URL", "oracle://a:b@c/d", "DATABASE_URL must name SQLite or PostgreSQL."),
        *(
            ("DATABASE_URL", garbage, UNREADABLE)
            for garbage in ("garbage", "postgresql://u:p@h:port/db", "ftp://a/b", "://")
        ),
    ],
)
def test_an_invalid_value_is_reported_with_what_to_set(
    folders: dict[str, str], name: str, value: str, sentence: str
) -> None:
    assert refusal({**DEVELOPMENT, **folders, name: value}) == sentence


PRINT_SETTINGS = """
import json
from config import settings
print(json.dumps({name: getattr(settings, name) for name in (
    "DEBUG", "ALLOWED_HOSTS", "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS",
    "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_PROXY_SSL_HEADER", "EMAIL_BACKEND",
    "STAFF_MFA")}))
"""


def read_settings(environment: dict[str, str]) -> str:
    return subprocess.run(
        [sys.executable, "-c", PRINT_SETTINGS],
        cwd=settings.BASE_DIR,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_production_uses_only_https(folders: dict[str, str]) -> None:
    assert read_settings({**PRODUCTION, **folders, "TRUSTED_PROXIES": "1"}) == (
        '{"DEBUG": false, "ALLOWED_HOSTS": ["shop.example.com"], "SECURE_SSL_REDIRECT": true, '
        '"SECURE_HSTS_SECONDS": 31536000, "SESSION_COOKIE_SECURE": true, '
        '"CSRF_COOKIE_SECURE": true, '
        '"SECURE_PROXY_SSL_HEADER": ["HTTP_X_FORWARDED_PROTO", "https"], '
        '"EMAIL_BACKEND": "retail.mail.smtp.EmailBackend", "STAFF_MFA": true}'
    )


def test_development_uses_http_on_localhost(folders: dict[str, str]) -> None:
    assert read_settings({**DEVELOPMENT, **folders}) == (
        '{"DEBUG": true, "ALLOWED_HOSTS": ["localhost", "127.0.0.1", "[::1]"], '
        '"SECURE_SSL_REDIRECT": false, "SECURE_HSTS_SECONDS": 0, '
        '"SESSION_COOKIE_SECURE": false, "CSRF_COOKIE_SECURE": false, '
        '"SECURE_PROXY_SSL_HEADER": null, '
        '"EMAIL_BACKEND": "retail.mail.files.EmailBackend", "STAFF_MFA": false}'
    )


def test_postgresql_has_a_limit_for_every_wait_and_the_url_overrides_it() -> None:
    options = _postgres_options({})
    assert options.pop("options") == (
        "-c statement_timeout=3600000 -c lock_timeout=30000"
        " -c idle_in_transaction_session_timeout=60000  -c synchronous_commit=on"
    )
    assert set(options) == {
        *("connect_timeout", "tcp_user_timeout"),
        *("keepalives_idle", "keepalives_interval", "keepalives_count"),
    }
    given = _postgres_options({"sslmode": "require", "options": "-c lock_timeout=1"})
    assert given["sslmode"] == "require"
    # The server takes the last of each.
    assert given["options"].endswith(" -c lock_timeout=1 -c synchronous_commit=on")
    given = _postgres_options({"options": "-c synchronous_commit=off"})
    assert given["options"].endswith(" -c synchronous_commit=off -c synchronous_commit=on")
