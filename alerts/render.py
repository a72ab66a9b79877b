"""Render what Prometheus, Alertmanager and Loki read for an installation, from its environment.

    python alerts/render.py /config

writes /config/prometheus/prometheus.yml, /config/alertmanager/alertmanager.yml, what belongs to
them, and /config/loki/rules, from the folders alerts, prometheus and loki beside each other. None
of the three programs expands environment variables. Needs nothing but the standard library.
With DEBUG off it refuses (status 1, a sentence each) what is only good enough for development.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent.parent
ALERTMANAGER = (
    "/config/alertmanager"  # where Alertmanager sees its folder: its secrets' paths begin so
)
DEVELOPMENT = {
    "SHOP_URL": "http://localhost:8000",
    "GRAFANA_URL": "http://localhost:3000",
    "METRICS_TOKEN": "",
    "ALERTS_TOKEN": "",
    "GRAFANA_PASSWORD": "admin",
    "POSTGRES_PASSWORD": "retail_password",
}
NO = {"0", "false", "no", "off"}
YES = {"1", "true", "yes", "on"}
SMTP = ("ALERT_SMTP_HOST", "ALERT_SMTP_PORT", "ALERT_SMTP_USER", "ALERT_SMTP_PASSWORD",
        "ALERT_EMAIL_FROM")  # fmt: skip
PEOPLE = re.compile(r"^    # people: (.+)\n", re.MULTILINE)


class RefusedError(Exception):
    """The environment cannot be right; each line of the text says what to set."""


@dataclass(frozen=True)
class Settings:
    """What the environment says. Secrets are by the names of the files that they go to."""

    shop_url: str
    grafana_url: str
    metrics_token: str
    secrets: Mapping[str, str]
    people: Mapping[str, str]


def read(env: Mapping[str, str]) -> Settings:
    """Return the settings. Raises RefusedError with everything that is wrong."""
    given = {name: env.get(name, "").strip() or value for name, value in DEVELOPMENT.items()}
    wrong = _not_for_production(env.get("DEBUG", ""), given)
    for name in ("SHOP_URL", "GRAFANA_URL"):
        if not _is_url(given[name]):
            wrong.append(f"{name}={given[name]!r} is no address: set https://… without ? or #.")
    for name in ("METRICS_TOKEN", "ALERTS_TOKEN"):
        if re.search(r"\s", given[name]):
            wrong.append(f"{name} must not contain spaces or line breaks.")
    people: dict[str, str] = {}
    secrets = {"alerts_token": given["ALERTS_TOKEN"]}
    for receiver in (_email, _slack, _pagerduty):
        try:
            receiver(env, people, secrets)
        except RefusedError as error:
            wrong.append(str(error))
    if wrong:
        raise RefusedError("\n".join(wrong))
    return Settings(
        given["SHOP_URL"].rstrip("/"),
        given["GRAFANA_URL"].rstrip("/"),
        given["METRICS_TOKEN"],
        secrets,
        people,
    )


def _not_for_production(debug: str, given: Mapping[str, str]) -> list[str]:
    word = debug.strip().lower()
    if word not in {"", *YES, *NO}:
        return [f"DEBUG={debug!r} is neither yes nor no: set DEBUG=True or False."]
    if word not in NO:
        return []
    names = sorted(name for name, value in DEVELOPMENT.items() if given[name] == value)
    return [f"With DEBUG off, set {', '.join(names)}: .env.example says what each is."] * bool(
        names
    )


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        port_is_right = url.port is None or url.port > 0
    except ValueError:
        return False
    plain = re.fullmatch(r"[\w.:/\[\]~-]+", text, re.ASCII) is not None
    return plain and port_is_right and url.scheme in {"http", "https"} and bool(url.hostname)


def _email(env: Mapping[str, str], people: dict[str, str], secrets: dict[str, str]) -> None:
    """Add e-mail, if ALERT_EMAIL_TO names somebody."""
    to = env.get("ALERT_EMAIL_TO", "").strip()
    host, port, user, password, sender = (env.get(name, "").strip() for name in SMTP)
    if not to:
        if host or user or password:
            raise RefusedError("ALERT_SMTP_… is set, but ALERT_EMAIL_TO names nobody: set both.")
        return
    if not host:
        raise RefusedError("ALERT_EMAIL_TO is set, but no ALERT_SMTP_HOST to send by: set both.")
    if bool(user) != bool(password):
        raise RefusedError("Set both ALERT_SMTP_USER and ALERT_SMTP_PASSWORD, or neither.")
    sender = sender or "vitrine@localhost"
    for address in (*to.split(","), sender):
        if not re.fullmatch(r"[^\s@<>]+@[^\s@<>]+", address.strip()):
            raise RefusedError(f"{address.strip()!r} in ALERT_EMAIL_TO or _FROM is no address.")
    port = port or "587"
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):  # noqa: PLR2004 - TCP's
        raise RefusedError(f"ALERT_SMTP_PORT={port!r} is no port.")
    tls = env.get("ALERT_SMTP_TLS", "").strip().lower() or "true"
    if tls not in YES | NO:
        raise RefusedError(f"ALERT_SMTP_TLS={tls!r} is neither yes nor no.")
    lines = {"to": to, "from": sender, "smarthost": f"{host}:{port}"}
    if user:
        lines |= {"auth_username": user, "auth_password_file": f"{ALERTMANAGER}/smtp_password"}
        secrets["smtp_password"] = password
    rest = f"require_tls: {str(tls in YES).lower()}\nsend_resolved: true\n"
    people["email"] = _receiver("email_configs", lines, rest)


def _slack(env: Mapping[str, str], people: dict[str, str], secrets: dict[str, str]) -> None:
    """Add Slack, if ALERT_SLACK_WEBHOOK_URL is set."""
    url = env.get("ALERT_SLACK_WEBHOOK_URL", "").strip()
    if url:
        if not (_is_url(url) and url.startswith("https://")):
            raise RefusedError("ALERT_SLACK_WEBHOOK_URL must be an https:// address.")
        secrets["slack_url"] = url
        lines = {
            "api_url_file": f"{ALERTMANAGER}/slack_url",
            "title": "[{{ .Status | toUpper }}] {{ .GroupLabels.alertname }}",
            "text": "{{ range .Alerts }}*{{ .Annotations.summary }}*\n"
            "{{ .Annotations.description }}\n<{{ .Annotations.runbook_url }}|Runbook> "
            "<{{ .Annotations.dashboard_url }}|Dashboard> <{{ .Annotations.logs_url }}|Logs>\n"
            "{{ end }}",
        }
        people["slack"] = _receiver("slack_configs", lines, "send_resolved: true\n")


def _pagerduty(env: Mapping[str, str], people: dict[str, str], secrets: dict[str, str]) -> None:
    """Add PagerDuty, if ALERT_PAGERDUTY_KEY (Events API v2) is set."""
    key = env.get("ALERT_PAGERDUTY_KEY", "").strip()
    if key:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", key):
            raise RefusedError("ALERT_PAGERDUTY_KEY is no integration key of the Events API v2.")
        secrets["pagerduty_key"] = key
        lines = {
            "routing_key_file": f"{ALERTMANAGER}/pagerduty_key",
            "description": "{{ (index .Alerts 0).Annotations.summary }}",
        }
        people["pagerduty"] = _receiver("pagerduty_configs", lines, "send_resolved: true\n")


def _receiver(kind: str, values: Mapping[str, str], rest: str) -> str:
    """Return one receiver as YAML; JSON's strings are YAML's, whatever they hold."""
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]
    lines += rest.splitlines()
    return f"    {kind}:\n      - " + "\n        ".join(lines) + "\n"


def rendered(settings: Settings, root: Path = ROOT) -> dict[str, str]:
    """Return the text of every file to write, by its path. Raises RefusedError without rules."""

    def own(path: Path) -> str:
        """Return a rule file with the installation's addresses instead of development's."""
        text = path.read_text(encoding="utf-8")
        text = text.replace(DEVELOPMENT["SHOP_URL"], settings.shop_url)
        return text.replace(DEVELOPMENT["GRAFANA_URL"], settings.grafana_url)

    rules = {
        **{f"prometheus/rules/{f.name}": own(f) for f in (root / "alerts/rules").glob("*.yml")},
        **{f"loki/rules/fake/{f.name}": own(f) for f in (root / "loki/rules/fake").glob("*.yml")},
    }
    if {path.partition("/")[0] for path in rules} != {"prometheus", "loki"}:
        raise RefusedError(
            f"There are no rules in {root}: mount alerts, prometheus and loki there."
        )
    alertmanager = PEOPLE.sub(
        lambda kinds: "".join(settings.people.get(kind, "") for kind in kinds[1].split()),
        (root / "alerts/alertmanager.yml").read_text(encoding="utf-8"),
    )
    return {
        "prometheus/prometheus.yml": (root / "prometheus/prometheus.yml").read_text("utf-8"),
        "prometheus/scrape_token": settings.metrics_token,
        "alertmanager/alertmanager.yml": alertmanager,
        **{f"alertmanager/{name}": secret for name, secret in settings.secrets.items()},
        **rules,
    }


def write(files: Mapping[str, str], folder: Path) -> None:
    """Write the files, and delete what an earlier run has left: a receiver that is gone, a rule."""
    for name in ("prometheus", "alertmanager", "loki"):
        for old in (folder / name).rglob("*"):
            if old.is_file() and str(old.relative_to(folder)) not in files:
                old.unlink()
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        # Whoever reads the file meanwhile sees the old one or the new one.
        new = file.with_name(f"{file.name}.new")
        new.write_text(text, encoding="utf-8")
        # The programs run under ids of their own; only they see the volume.
        new.chmod(0o644)
        new.replace(file)


def main() -> None:
    """Render the environment's files into the folder that is named."""
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and its argument
        sys.exit("usage: python alerts/render.py OUTPUT")
    try:
        files = rendered(read(environ))
    except RefusedError as error:
        sys.exit(str(error))
    write(files, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
