"""Write the configuration of Prometheus, Alertmanager, Loki and Grafana for an installation.

    python alerts/render.py /config

Reads the environment and the folders alerts, prometheus, loki and grafana next to this one. Writes
/config/prometheus, /config/alertmanager, /config/blackbox, /config/loki/rules and /config/grafana
(alert rules), because none of these programs expands environment variables there. Needs only
PyYAML and app/deployment.py, not the shop. With DEBUG off it rejects values that are only good
enough for development: it says what to set and exits with status 1.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "app"))

from deployment import boolean, defaults, mode_of, problems  # noqa: E402 - its folder is set above

if TYPE_CHECKING:
    from collections.abc import Mapping

ALERTMANAGER = "/config/alertmanager"  # where Alertmanager mounts its folder
DEVELOPMENT = defaults("config")
# The channels of each Alertmanager receiver, in addition to the shop's own page.
CHANNELS = {
    "critical": ("email", "slack", "pagerduty"),
    "warning": ("email", "slack"),
    "ticket": ("email",),
}
RULES = {
    "prometheus/rules": "alerts/rules",
    "loki/rules/fake": "loki/rules/fake",
    "grafana": "grafana/provisioning/alerting",
}
SMTP = ("ALERT_SMTP_HOST", "ALERT_SMTP_PORT", "ALERT_SMTP_USER", "ALERT_SMTP_PASSWORD")


class SettingsError(Exception):
    """The environment is invalid. Each line of the message says what to set."""


@dataclass(frozen=True)
class Channel:
    """One way to notify people: Alertmanager's settings, and secrets by file name."""

    config: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """The installation's settings, read from the environment."""

    shop_url: str
    grafana_url: str
    metrics_token: str
    alerts_token: str
    watchdog_url: str
    channels: Mapping[str, Channel]


def read(env: Mapping[str, str]) -> Settings:
    """Return the settings. Raises SettingsError with every problem found."""
    values = {name: env.get(name, "").strip() or value for name, value in DEVELOPMENT.items()}
    found = _not_for_production(env, values)
    for name in ("SHOP_URL", "GRAFANA_URL"):
        if not _is_url(values[name]):
            found.append(f"{name}={values[name]!r} is not valid: use https://… without ? or #.")
    for name in ("METRICS_TOKEN", "ALERTS_TOKEN"):
        if re.search(r"\s", values[name]):
            found.append(f"{name} must not contain spaces or line breaks.")
    watchdog_url = env.get("WATCHDOG_URL", "").strip()
    if watchdog_url and not _is_url(watchdog_url):
        found.append("WATCHDOG_URL is not valid: use https://… without ? or #.")
    channels: dict[str, Channel] = {}
    for name, channel_from in (("email", _email), ("slack", _slack), ("pagerduty", _pagerduty)):
        try:
            if channel := channel_from(env):
                channels[name] = channel
        except SettingsError as error:
            found.append(str(error))
    if found:
        raise SettingsError("\n".join(found))
    shop_url, grafana_url = (values[name].rstrip("/") for name in ("SHOP_URL", "GRAFANA_URL"))
    tokens = values["METRICS_TOKEN"], values["ALERTS_TOKEN"]
    return Settings(shop_url, grafana_url, *tokens, watchdog_url, channels)


def _not_for_production(env: Mapping[str, str], values: Mapping[str, str]) -> list[str]:
    try:
        return list(problems(values, mode_of(env)))
    except ValueError as error:
        return [str(error)]


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        has_valid_port = url.port is None or url.port > 0
    except ValueError:
        return False
    is_plain = re.fullmatch(r"[\w.:/\[\]~-]+", text, re.ASCII) is not None
    return is_plain and has_valid_port and url.scheme in {"http", "https"} and bool(url.hostname)


def _email(env: Mapping[str, str]) -> Channel | None:
    """Return the e-mail channel if ALERT_EMAIL_TO is set."""
    to = env.get("ALERT_EMAIL_TO", "").strip()
    sender = env.get("ALERT_EMAIL_FROM", "").strip() or "vitrine@localhost"
    host, port, user, password = (env.get(name, "").strip() for name in SMTP)
    if not to and (host or user or password):
        raise SettingsError("ALERT_SMTP_… is set, but ALERT_EMAIL_TO is empty: set both.")
    if not to:
        return None
    if not host:
        raise SettingsError("ALERT_EMAIL_TO is set, but ALERT_SMTP_HOST is empty: set both.")
    if bool(user) != bool(password):
        raise SettingsError("Set both ALERT_SMTP_USER and ALERT_SMTP_PASSWORD, or neither.")
    port = port or "587"
    for address in (*to.split(","), sender):
        if not re.fullmatch(r"[^\s@<>]+@[^\s@<>]+", address.strip()):
            raise SettingsError(f"ALERT_EMAIL_…: {address.strip()!r} is not an e-mail address.")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):  # noqa: PLR2004 - TCP's
        raise SettingsError(f"ALERT_SMTP_PORT={port!r} is not a port number.")
    config: dict[str, object] = {"to": to, "from": sender, "smarthost": f"{host}:{port}"}
    config |= {"require_tls": _requires_tls(env), "send_resolved": True}
    if not user:
        return Channel(config)
    login = {"auth_username": user, "auth_password_file": f"{ALERTMANAGER}/smtp_password"}
    return Channel({**config, **login}, {"smtp_password": password})


def _requires_tls(env: Mapping[str, str]) -> bool:
    try:
        return boolean("ALERT_SMTP_TLS", env.get("ALERT_SMTP_TLS", ""), default=True)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _slack(env: Mapping[str, str]) -> Channel | None:
    """Return the Slack channel if ALERT_SLACK_WEBHOOK_URL is set."""
    url = env.get("ALERT_SLACK_WEBHOOK_URL", "").strip()
    if not url:
        return None
    if not (_is_url(url) and url.startswith("https://")):
        raise SettingsError("ALERT_SLACK_WEBHOOK_URL must be an https:// address.")
    config = {
        "api_url_file": f"{ALERTMANAGER}/slack_url",
        "title": "[{{ .Status | toUpper }}] {{ .GroupLabels.alertname }}",
        "text": "{{ range .Alerts }}*{{ .Annotations.summary }}*\n"
        "{{ .Annotations.description }}\n<{{ .Annotations.runbook_url }}|Runbook> "
        "<{{ .Annotations.dashboard_url }}|Dashboard> <{{ .Annotations.logs_url }}|Logs>\n"
        "{{ end }}",
        "send_resolved": True,
    }
    return Channel(config, {"slack_url": url})


def _pagerduty(env: Mapping[str, str]) -> Channel | None:
    """Return the PagerDuty channel if ALERT_PAGERDUTY_KEY (Events API v2) is set."""
    key = env.get("ALERT_PAGERDUTY_KEY", "").strip()
    if not key:
        return None
    if not re.fullmatch(r"[A-Za-z0-9_-]+", key):
        raise SettingsError("ALERT_PAGERDUTY_KEY is not an Events API v2 integration key.")
    config = {
        "routing_key_file": f"{ALERTMANAGER}/pagerduty_key",
        "description": "{{ (index .Alerts 0).Annotations.summary }}",
        "send_resolved": True,
    }
    return Channel(config, {"pagerduty_key": key})


def rendered(settings: Settings, root: Path = ROOT) -> dict[str, str]:
    """Return each file's content by its path. Raises SettingsError without rules."""
    rules = {
        f"{target}/{file.name}": _with_addresses(file.read_text(encoding="utf-8"), settings)
        for target, source in RULES.items()
        for file in (root / source).glob("*.yml")
    }
    if {path.partition("/")[0] for path in rules} != {"prometheus", "loki", "grafana"}:
        raise SettingsError(
            f"Rules are missing in {root}: mount alerts, prometheus, loki and grafana there."
        )
    secrets = (channel.secrets for channel in settings.channels.values())
    return {
        "prometheus/prometheus.yml": (root / "prometheus/prometheus.yml").read_text("utf-8"),
        "prometheus/scrape_token": settings.metrics_token,
        "blackbox/blackbox.yml": _blackbox(root, settings.shop_url),
        "alertmanager/alertmanager.yml": _alertmanager(root, settings),
        "alertmanager/alerts_token": settings.alerts_token,
        **{f"alertmanager/{name}": text for some in secrets for name, text in some.items()},
        **rules,
    }


def _with_addresses(text: str, settings: Settings) -> str:
    """Return a rule file with the installation's addresses instead of the development ones."""
    text = text.replace(DEVELOPMENT["SHOP_URL"], settings.shop_url)
    return text.replace(DEVELOPMENT["GRAFANA_URL"], settings.grafana_url)


def _blackbox(root: Path, shop_url: str) -> str:
    """Return the blackbox exporter's configuration with the shop's public address."""
    config = yaml.safe_load((root / "prometheus/blackbox.yml").read_text("utf-8"))
    address = urlsplit(shop_url)
    config["modules"]["page"]["http"]["headers"] = {
        "Host": address.netloc,
        "X-Forwarded-Proto": address.scheme,
    }
    return str(yaml.safe_dump(config, sort_keys=False))


def _alertmanager(root: Path, settings: Settings) -> str:
    """Return Alertmanager's configuration with the channels of this installation."""
    config = yaml.safe_load((root / "alerts/alertmanager.yml").read_text("utf-8"))
    receivers = {receiver["name"]: receiver for receiver in config["receivers"]}
    for name, wanted in CHANNELS.items():
        for channel in wanted:
            if channel in settings.channels:
                receivers[name][f"{channel}_configs"] = [dict(settings.channels[channel].config)]
    if settings.watchdog_url:
        # In the file itself: its `url_file` is newer than the oldest Alertmanager that tests run.
        ping = {"url": settings.watchdog_url, "send_resolved": False}
        receivers["watchdog"]["webhook_configs"] = [ping]
    return str(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def write(files: Mapping[str, str], folder: Path) -> None:
    """Write the files, and delete those that an earlier run left and this one does not have."""
    for name in ("prometheus", "alertmanager", "blackbox", "loki", "grafana"):
        for old in (folder / name).rglob("*"):
            if old.is_file() and str(old.relative_to(folder)) not in files:
                old.unlink()
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        # Replaced in one step: a program that reads at this moment gets the old or the new file.
        new = file.with_name(f"{file.name}.new")
        new.write_text(text, encoding="utf-8")
        # The programs run as other users. Each mounts only its own volume.
        new.chmod(0o644)
        new.replace(file)


def main() -> None:
    """Render the configuration into the folder given as argument."""
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and its argument
        sys.exit("usage: python alerts/render.py OUTPUT")
    try:
        files = rendered(read(environ))
    except SettingsError as error:
        sys.exit(str(error))
    write(files, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
