"""Rendering the configuration of an installation, and rejecting invalid settings."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from alerts import build, render
from tests.alerts.support import run

if TYPE_CHECKING:
    from pathlib import Path

PRODUCTION = {
    "DEBUG": "False",
    "SHOP_URL": "https://shop.example.com/",
    "GRAFANA_URL": "https://grafana.example.com/grafana",
    "METRICS_TOKEN": "scrape-me-always",
    "ALERTS_TOKEN": "notify-me-of-every-alert",
    "GRAFANA_PASSWORD": "not-admin-but-long",
    "POSTGRES_PASSWORD": "not-retail-but-long",
    "POSTGRES_EXPORTER_PASSWORD": "another-and-long",
}
NOT_SET = (
    "With DEBUG off, set {} in the environment (see .env.example), or set DEBUG=True for "
    "development."
)
CHANNELS = {
    "ALERT_EMAIL_TO": "on-call@example.com, second@example.com",
    "ALERT_EMAIL_FROM": "alerts@example.com",
    "ALERT_SMTP_HOST": "mail.example.com",
    "ALERT_SMTP_PORT": "2525",
    "ALERT_SMTP_USER": "alerts",
    "ALERT_SMTP_PASSWORD": 'pass"word: #1',
    "ALERT_SLACK_WEBHOOK_URL": "https://hooks.slack.example/services/T1/B2/x",
    "ALERT_PAGERDUTY_KEY": "0123456789abcdef0123456789abcdef",
    "WATCHDOG_URL": "https://ping.example.com/0a1b2c3d-4e5f",
}


def test_without_an_environment_the_files_suit_development(tmp_path: Path) -> None:
    files = render.rendered(render.read({"DEBUG": "True"}))
    rules = {f"prometheus/rules/{path.rpartition('/')[2]}": path for path in build.FILES}
    rules.pop("prometheus/rules/retail.yml")
    assert set(files) == {
        "prometheus/prometheus.yml",
        "prometheus/scrape_token",
        *rules,
        "blackbox/blackbox.yml",
        "alertmanager/alertmanager.yml",
        "alertmanager/alerts_token",
        "loki/rules/fake/retail.yml",
        "grafana/notifications.yml",
        "grafana/rules.yml",
    }
    assert {path: files[name] for name, path in rules.items()} == {
        path: build.built()[path] for path in rules.values()
    }
    assert (files["prometheus/scrape_token"], files["alertmanager/alerts_token"]) == ("", "")
    receivers = yaml.safe_load(files["alertmanager/alertmanager.yml"])["receivers"]
    assert {receiver["name"]: sorted(set(receiver) - {"name"}) for receiver in receivers} == {
        "shop": ["webhook_configs"],
        "critical": ["webhook_configs"],
        "warning": ["webhook_configs"],
        "ticket": ["webhook_configs"],
        "watchdog": [],
    }
    blackbox = yaml.safe_load(files["blackbox/blackbox.yml"])
    assert blackbox == yaml.safe_load((build.ROOT / "prometheus/blackbox.yml").read_text("utf-8"))


@pytest.fixture(scope="module")
def production() -> dict[str, str]:
    """Return the files of an installation with every channel."""
    return render.rendered(render.read({**PRODUCTION, **CHANNELS}))


def rules_in(files: dict[str, str]) -> list[str]:
    rules = [text for name, text in files.items() if "/rules" in name]
    assert len(rules) == len(build.FILES) + 1  # and Grafana's
    return rules


def test_production_has_its_own_addresses(production: dict[str, str]) -> None:
    for text in rules_in(production):
        assert "localhost:8000" not in text
        assert "localhost:3000" not in text
    rule = yaml.safe_load(production["prometheus/rules/http_errors.yml"])["groups"][0]["rules"][-1]
    links = rule["annotations"]
    assert links["runbook_url"] == "https://shop.example.com/metrics/runbooks/RetailErrorRateHigh/"
    grafana = "https://grafana.example.com/grafana/d"
    assert links["dashboard_url"] == f"{grafana}/retail-http?from=now-1h&to=now"
    # Grafana's own alerts have the same links.
    groups = yaml.safe_load(production["grafana/rules.yml"])["groups"]
    own = {rule["title"]: rule["annotations"] for group in groups for rule in group["rules"]}
    assert {name: own["RetailErrorRateHigh"][name] for name in links if name.endswith("_url")} == {
        name: link for name, link in links.items() if name.endswith("_url")
    }
    # The shop's host rejects other names, and redirects to https.
    page = yaml.safe_load(production["blackbox/blackbox.yml"])["modules"]["page"]
    assert page["http"]["headers"] == {"Host": "shop.example.com", "X-Forwarded-Proto": "https"}


def test_production_keeps_secrets_in_separate_files(production: dict[str, str]) -> None:
    assert production["prometheus/scrape_token"] == "scrape-me-always"
    assert production["alertmanager/alerts_token"] == "notify-me-of-every-alert"
    assert production["alertmanager/smtp_password"] == 'pass"word: #1'
    assert production["alertmanager/slack_url"] == CHANNELS["ALERT_SLACK_WEBHOOK_URL"]
    assert production["alertmanager/pagerduty_key"] == CHANNELS["ALERT_PAGERDUTY_KEY"]
    secrets = (
        "scrape-me-always",
        "notify-me-of-every-alert",
        "pass",
        CHANNELS["ALERT_SLACK_WEBHOOK_URL"],
        "0123456789abcdef",
    )
    for text in (
        production["alertmanager/alertmanager.yml"],
        production["prometheus/prometheus.yml"],
        *rules_in(production),
    ):
        assert not [secret for secret in secrets if re.search(rf"{re.escape(secret)}['\"\n]", text)]


def test_production_notifies_every_channel(production: dict[str, str]) -> None:
    receivers = yaml.safe_load(production["alertmanager/alertmanager.yml"])["receivers"]
    by_name = {receiver["name"]: receiver for receiver in receivers}
    assert {name: sorted(set(receiver) - {"name"}) for name, receiver in by_name.items()} == {
        "shop": ["webhook_configs"],
        "critical": ["email_configs", "pagerduty_configs", "slack_configs", "webhook_configs"],
        "warning": ["email_configs", "slack_configs", "webhook_configs"],
        "ticket": ["email_configs", "webhook_configs"],
        "watchdog": ["webhook_configs"],
    }
    assert by_name["watchdog"]["webhook_configs"] == [
        {"url": CHANNELS["WATCHDOG_URL"], "send_resolved": False}
    ]
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


def test_grafana_expands_nothing_in_the_links_of_its_alerts() -> None:
    """It expands variables in provisioning files, but sends those in annotations as they are."""
    for name, text in render.rendered(render.read(PRODUCTION)).items():
        if name.startswith("grafana/"):
            assert "$" not in text


@pytest.mark.parametrize("channels", [{}, CHANNELS], ids=["no channel", "all channels"])
def test_prometheus_and_alertmanager_accept_it(
    promtool: str, amtool: str, tmp_path: Path, channels: dict[str, str]
) -> None:
    render.write(render.rendered(render.read({**PRODUCTION, **channels})), tmp_path)
    done = run(promtool, "check", "config", tmp_path / "prometheus/prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    # Two for the file itself, one for each rule file of Prometheus (one is Loki's).
    assert done.stdout.count("SUCCESS") == 2 + len(build.FILES) - 1
    done = run(amtool, "check-config", tmp_path / "alertmanager/alertmanager.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_setting_that_is_removed_disappears_from_the_volume(tmp_path: Path) -> None:
    render.write(render.rendered(render.read({**CHANNELS, "DEBUG": "True"})), tmp_path)
    assert (tmp_path / "alertmanager/slack_url").exists()
    render.write(render.rendered(render.read({"DEBUG": "True"})), tmp_path)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == set(render.rendered(render.read({"DEBUG": "True"})))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SHOP_URL": ""}, NOT_SET.format("SHOP_URL")),
        (
            {"METRICS_TOKEN": "", "ALERTS_TOKEN": "", "GRAFANA_PASSWORD": "admin"},
            NOT_SET.format("ALERTS_TOKEN, GRAFANA_PASSWORD, METRICS_TOKEN"),
        ),
        (
            {"GRAFANA_URL": "http://localhost:3000/", "POSTGRES_PASSWORD": "retail_password"},
            NOT_SET.format("GRAFANA_URL, POSTGRES_PASSWORD"),
        ),
        (
            {"GRAFANA_PASSWORD": "short"},
            (
                "With DEBUG off, GRAFANA_PASSWORD must have at least 12 characters, "
                "5 of them different."
            ),
        ),
        ({"DEBUG": "perhaps"}, "DEBUG='perhaps' is not a boolean: use True or False."),
        (
            {"SHOP_URL": "shop.example.com"},
            "SHOP_URL='shop.example.com' is not valid: use https://… without ? or #.",
        ),
        (
            {"GRAFANA_URL": "https://x:99999"},
            "GRAFANA_URL='https://x:99999' is not valid: use https://… without ? or #.",
        ),
        (
            {"GRAFANA_URL": 'https://x"\n    - alert: Mine'},
            (
                "GRAFANA_URL='https://x\"\\n    - alert: Mine' is not valid: "
                "use https://… without ? or #."
            ),
        ),
        (
            {"METRICS_TOKEN": "a token with many spaces"},
            "METRICS_TOKEN must not contain spaces or line breaks.",
        ),
        (
            {"ALERT_EMAIL_TO": "a@example.com"},
            "ALERT_EMAIL_TO is set, but ALERT_SMTP_HOST is empty: set both.",
        ),
        (
            {"ALERT_SMTP_HOST": "mail"},
            "ALERT_SMTP_… is set, but ALERT_EMAIL_TO is empty: set both.",
        ),
        (
            {"ALERT_EMAIL_TO": "a@b.c", "ALERT_SMTP_HOST": "mail", "ALERT_SMTP_USER": "u"},
            "Set both ALERT_SMTP_USER and ALERT_SMTP_PASSWORD, or neither.",
        ),
        (
            {"ALERT_EMAIL_TO": "a@b.c,nobody", "ALERT_SMTP_HOST": "mail"},
            "ALERT_EMAIL_…: 'nobody' is not an e-mail address.",
        ),
        (
            {"ALERT_EMAIL_TO": "a@b.c", "ALERT_SMTP_HOST": "mail", "ALERT_SMTP_PORT": "smtp"},
            "ALERT_SMTP_PORT='smtp' is not a port number.",
        ),
        (
            {"ALERT_EMAIL_TO": "a@b.c", "ALERT_SMTP_HOST": "mail", "ALERT_SMTP_TLS": "maybe"},
            "ALERT_SMTP_TLS='maybe' is not a boolean: use True or False.",
        ),
        (
            {"ALERT_SLACK_WEBHOOK_URL": "http://hooks.slack.example/x"},
            "ALERT_SLACK_WEBHOOK_URL must be an https:// address.",
        ),
        (
            {"ALERT_PAGERDUTY_KEY": "two words"},
            "ALERT_PAGERDUTY_KEY is not an Events API v2 integration key.",
        ),
        (
            {"WATCHDOG_URL": "ping.example.com/x"},
            "WATCHDOG_URL is not valid: use https://… without ? or #.",
        ),
    ],
)
def test_invalid_settings_are_rejected(changes: dict[str, str], message: str) -> None:
    with pytest.raises(render.SettingsError) as error:
        render.read({**PRODUCTION, **changes})
    assert str(error.value) == message


def test_a_folder_that_is_not_mounted_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(render.SettingsError) as error:
        render.rendered(render.read({"DEBUG": "True"}), tmp_path)
    assert str(error.value) == (
        f"Rules are missing in {tmp_path}: mount alerts, prometheus, loki and grafana there."
    )


def test_the_program_lists_every_problem_and_then_writes_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-I", str(build.ROOT / "alerts/render.py"), str(tmp_path / "out")]
    environment = {**PRODUCTION, "SHOP_URL": "ftp://x", "ALERT_SMTP_HOST": "mail"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "SHOP_URL='ftp://x' is not valid: use https://… without ? or #.\n"
        "ALERT_SMTP_… is set, but ALERT_EMAIL_TO is empty: set both.\n"
    )
    assert list(tmp_path.iterdir()) == []
    # With a valid environment it writes. Isolated mode (-I) shows that it imports none of the shop.
    done = subprocess.run(command, env=PRODUCTION, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    token = tmp_path / "out/prometheus/scrape_token"
    assert (token.read_text("utf-8"), token.stat().st_mode & 0o777) == (
        "scrape-me-always",
        0o644,
    )
