"""What is rendered for an installation, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from alerts import build, render
from tests.alerts.support import parsed, run

if TYPE_CHECKING:
    from pathlib import Path

PRODUCTION = {
    "DEBUG": "False",
    "SHOP_URL": "https://shop.example.com/",
    "GRAFANA_URL": "https://watch.example.com/grafana",
    "METRICS_TOKEN": "scrape-me",
    "ALERTS_TOKEN": "tell-me",
    "GRAFANA_PASSWORD": "not-admin",
    "POSTGRES_PASSWORD": "not-retail",
}
PEOPLE = {
    "ALERT_EMAIL_TO": "on-call@example.com, second@example.com",
    "ALERT_EMAIL_FROM": "alerts@example.com",
    "ALERT_SMTP_HOST": "mail.example.com",
    "ALERT_SMTP_PORT": "2525",
    "ALERT_SMTP_USER": "alerts",
    "ALERT_SMTP_PASSWORD": 'pass"word: #1',
    "ALERT_SLACK_WEBHOOK_URL": "https://hooks.slack.example/services/T1/B2/x",
    "ALERT_PAGERDUTY_KEY": "0123456789abcdef0123456789abcdef",
}


def test_without_an_environment_the_files_are_development_s(tmp_path: Path) -> None:
    files = render.rendered(render.read({}))
    rules = {f"prometheus/rules/{path.rpartition('/')[2]}": path for path in build.FILES}
    rules.pop("prometheus/rules/retail.yml")
    assert set(files) == {
        "prometheus/prometheus.yml",
        "prometheus/scrape_token",
        *rules,
        "alertmanager/alertmanager.yml",
        "alertmanager/alerts_token",
        "loki/rules/fake/retail.yml",
    }
    assert {path: files[name] for name, path in rules.items()} == {
        path: build.built()[path] for path in rules.values()
    }
    assert (files["prometheus/scrape_token"], files["alertmanager/alerts_token"]) == ("", "")
    receivers = parsed(files["alertmanager/alertmanager.yml"])["receivers"]
    assert {one["name"]: sorted(set(one) - {"name"}) for one in receivers} == {
        "shop": ["webhook_configs"],
        "critical": ["webhook_configs"],
        "warning": ["webhook_configs"],
        "ticket": ["webhook_configs"],
    }


def test_production_has_its_own_addresses_and_secrets_in_files_alone() -> None:
    files = render.rendered(render.read({**PRODUCTION, **PEOPLE}))
    rules = [text for name, text in files.items() if "/rules/" in name]
    assert len(rules) == 7
    for text in rules:
        assert "localhost:8000" not in text
        assert "localhost:3000" not in text
    answers = files["prometheus/rules/answers.yml"]
    assert '"https://shop.example.com/metrics/runbooks/RetailErrorRateHigh/"' in answers
    assert '"https://watch.example.com/grafana/d/retail-http?from=now-1h&to=now"' in answers
    assert files["prometheus/scrape_token"] == "scrape-me"
    assert files["alertmanager/alerts_token"] == "tell-me"
    assert files["alertmanager/smtp_password"] == 'pass"word: #1'
    assert files["alertmanager/slack_url"] == PEOPLE["ALERT_SLACK_WEBHOOK_URL"]
    assert files["alertmanager/pagerduty_key"] == PEOPLE["ALERT_PAGERDUTY_KEY"]
    secrets = (
        "scrape-me",
        "tell-me",
        "pass",
        PEOPLE["ALERT_SLACK_WEBHOOK_URL"],
        "0123456789abcdef",
    )
    for text in (
        files["alertmanager/alertmanager.yml"],
        files["prometheus/prometheus.yml"],
        *rules,
    ):
        assert not [secret for secret in secrets if f'{secret}"' in text]
    by_name = {
        one["name"]: one for one in parsed(files["alertmanager/alertmanager.yml"])["receivers"]
    }
    assert {name: sorted(set(one) - {"name"}) for name, one in by_name.items()} == {
        "shop": ["webhook_configs"],
        "critical": ["email_configs", "pagerduty_configs", "slack_configs", "webhook_configs"],
        "warning": ["email_configs", "slack_configs", "webhook_configs"],
        "ticket": ["email_configs", "webhook_configs"],
    }
    assert by_name["critical"]["email_configs"] == [
        {
            "to": "on-call@example.com, second@example.com",
            "from": "alerts@example.com",
            "smarthost": "mail.example.com:2525",
            "auth_username": "alerts",
            "auth_password_file": "/config/alertmanager/smtp_password",
            "require_tls": True,
            "send_resolved": True,
        }
    ]


@pytest.mark.parametrize("people", [{}, PEOPLE], ids=["nobody", "everybody"])
def test_prometheus_and_alertmanager_understand_it(
    promtool: str, amtool: str, tmp_path: Path, people: dict[str, str]
) -> None:
    render.write(render.rendered(render.read({**PRODUCTION, **people})), tmp_path)
    done = run(promtool, "check", "config", tmp_path / "prometheus/prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == 8  # of the file itself two, and the rule files it found
    done = run(amtool, "check-config", tmp_path / "alertmanager/alertmanager.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_gone_from_the_environment_is_gone_from_the_volume(tmp_path: Path) -> None:
    render.write(render.rendered(render.read(PEOPLE)), tmp_path)
    assert (tmp_path / "alertmanager/slack_url").exists()
    render.write(render.rendered(render.read({})), tmp_path)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == set(render.rendered(render.read({})))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"SHOP_URL": ""}, "With DEBUG off, set SHOP_URL: .env.example says what each is."),
        (
            {"METRICS_TOKEN": "", "ALERTS_TOKEN": "", "GRAFANA_PASSWORD": "admin"},
            (
                "With DEBUG off, set ALERTS_TOKEN, GRAFANA_PASSWORD, METRICS_TOKEN: "
                ".env.example says what each is."
            ),
        ),
        (
            {"GRAFANA_URL": "http://localhost:3000", "POSTGRES_PASSWORD": "retail_password"},
            "With DEBUG off, set GRAFANA_URL, POSTGRES_PASSWORD: .env.example says what each is.",
        ),
        ({"DEBUG": "perhaps"}, "DEBUG='perhaps' is neither yes nor no: set DEBUG=True or False."),
        (
            {"SHOP_URL": "shop.example.com"},
            "SHOP_URL='shop.example.com' is no address: set https://… without ? or #.",
        ),
        (
            {"GRAFANA_URL": "https://x:99999"},
            "GRAFANA_URL='https://x:99999' is no address: set https://… without ? or #.",
        ),
        (
            {"GRAFANA_URL": 'https://x"\n    - alert: Mine'},
            (
                "GRAFANA_URL='https://x\"\\n    - alert: Mine' is no address: "
                "set https://… without ? or #."
            ),
        ),
        ({"METRICS_TOKEN": "a b"}, "METRICS_TOKEN must not contain spaces or line breaks."),
        (
            {"ALERT_EMAIL_TO": "a@example.com"},
            "ALERT_EMAIL_TO is set, but no ALERT_SMTP_HOST to send by: set both.",
        ),
        (
            {"ALERT_SMTP_HOST": "mail"},
            "ALERT_SMTP_… is set, but ALERT_EMAIL_TO names nobody: set both.",
        ),
        (
            {"ALERT_EMAIL_TO": "a@b.c", "ALERT_SMTP_HOST": "mail", "ALERT_SMTP_USER": "u"},
            "Set both ALERT_SMTP_USER and ALERT_SMTP_PASSWORD, or neither.",
        ),
        (
            {"ALERT_EMAIL_TO": "a@b.c,nobody", "ALERT_SMTP_HOST": "mail"},
            "'nobody' in ALERT_EMAIL_TO or _FROM is no address.",
        ),
        (
            {"ALERT_EMAIL_TO": "a@b.c", "ALERT_SMTP_HOST": "mail", "ALERT_SMTP_PORT": "smtp"},
            "ALERT_SMTP_PORT='smtp' is no port.",
        ),
        (
            {"ALERT_EMAIL_TO": "a@b.c", "ALERT_SMTP_HOST": "mail", "ALERT_SMTP_TLS": "maybe"},
            "ALERT_SMTP_TLS='maybe' is neither yes nor no.",
        ),
        (
            {"ALERT_SLACK_WEBHOOK_URL": "http://hooks.slack.example/x"},
            "ALERT_SLACK_WEBHOOK_URL must be an https:// address.",
        ),
        (
            {"ALERT_PAGERDUTY_KEY": "two words"},
            "ALERT_PAGERDUTY_KEY is no integration key of the Events API v2.",
        ),
    ],
)
def test_what_cannot_be_right_is_refused(changes: dict[str, str], told: str) -> None:
    with pytest.raises(render.RefusedError) as refused:
        render.read({**PRODUCTION, **changes})
    assert str(refused.value) == told


def test_a_folder_that_was_not_mounted_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(render.RefusedError) as refused:
        render.rendered(render.read({}), tmp_path)
    assert str(refused.value) == (
        f"There are no rules in {tmp_path}: mount alerts, prometheus and loki there."
    )


def test_the_program_says_everything_that_is_wrong_and_writes_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-I", str(build.ROOT / "alerts/render.py"), str(tmp_path / "out")]
    environment = {**PRODUCTION, "SHOP_URL": "ftp://x", "ALERT_SMTP_HOST": "mail"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "SHOP_URL='ftp://x' is no address: set https://… without ? or #.\n"
        "ALERT_SMTP_… is set, but ALERT_EMAIL_TO names nobody: set both.\n"
    )
    assert list(tmp_path.iterdir()) == []
    # And with a good environment it writes, by nothing but the standard library (-I).
    done = subprocess.run(command, env=PRODUCTION, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    token = tmp_path / "out/prometheus/scrape_token"
    assert (token.read_text("utf-8"), token.stat().st_mode & 0o777) == ("scrape-me", 0o644)
