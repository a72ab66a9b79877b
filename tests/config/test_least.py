"""Least privilege in docker-compose.yml: networks, variables, and rights of each container."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from gateway_simulator import settings as gateway
from tests.config.compose import (
    CALLS,
    COMPOSE,
    ROOT,
    SERVICES,
    SHOP,
    TEXT,
    environment,
    members,
    networks,
)
from tests.config.test_env_example import WEB, Recording

if TYPE_CHECKING:
    from pathlib import Path

ALL = pytest.mark.parametrize("name", sorted(SERVICES))
# Whose value somebody else must not know, and who uses it. Only `config` checks those of others.
SECRETS = {
    "SECRET_KEY": {"web", "worker"},
    "METRICS_TOKEN": {"web", "worker", "config"},
    "ALERTS_TOKEN": {"web", "worker", "config"},
    "GATEWAY_API_KEY": {"web", "worker", "gateway", "backup"},
    "GATEWAY_FAULTS_TOKEN": {"gateway"},
    "GATEWAY_CARDS": {"gateway"},
    "DATABASE_URL": {"web", "worker", "migrate", "populate", "backup"},
    "BACKUP_KEY": {"backup"},
    "CACHE_URL": {"web", "worker"},
    "EMAIL_HOST_PASSWORD": {"web", "worker"},
    "POSTGRES_PASSWORD": {"db", "config"},
    "POSTGRES_EXPORTER_PASSWORD": {"db", "postgres-exporter", "config"},
    "GRAFANA_PASSWORD": {"grafana", "config"},
    "ALERT_SMTP_PASSWORD": {"config"},
    "ALERT_SLACK_WEBHOOK_URL": {"config"},
    "ALERT_PAGERDUTY_KEY": {"config"},
    "WATCHDOG_URL": {"config"},
}
SECRET = re.compile(
    r"^(?!THROTTLE_)\w*(SECRET|TOKEN|PASSWORD|KEY$|CARDS|DATABASE_URL|CACHE_URL|WEBHOOK|WATCHDOG)"
)
# Set by the image, or found in it.
IN_IMAGE = {*re.findall(r"^ {4}([A-Z_]+)=", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)}
IN_IMAGE |= {"RUNBOOKS_DIR"}
CAPABILITIES = {"db": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]}
WRITABLE = {"grafana"}


def _settings(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def _hosts(text: str) -> set[str]:
    """Return the services whose addresses are in a text."""
    found = re.findall(r"(?<![\w.-])([a-z][a-z-]*):\d{4}\b", text)
    return {host for host in found if host in SERVICES}


def _scraped() -> tuple[set[str], set[str]]:
    """Return what Prometheus calls itself, and what it lets blackbox call."""
    config = _settings("prometheus/prometheus.yml")
    probes = {
        target
        for job in config["scrape_configs"]
        for static in job.get("static_configs", ())
        for target in static["targets"]
        if "://" in target
    }
    found = {
        name
        for job in config["scrape_configs"]
        for dns in job.get("dns_sd_configs", ())
        for name in dns["names"]
    }
    text = yaml.safe_dump(config)
    for probe in probes:
        text = text.replace(probe, "")
    return found | _hosts(text), _hosts(" ".join(probes))


def _called(service: str) -> set[str]:
    """Return whom a service calls, by its command, its variables and its configuration."""
    files = {
        "proxy": ["nginx/shop.conf"],
        "alertmanager": ["alerts/alertmanager.yml"],
        "loki": ["loki/loki.yml"],
        "collector": ["loki/collector.yaml"],
        "grafana": [
            "grafana/provisioning/datasources/vitrine.yml",
            "grafana/provisioning/alerting/notifications.yml",
        ],
    }
    texts = [(ROOT / path).read_text("utf-8") for path in files.get(service, ())]
    given = SERVICES[service]
    texts += [str(value) for value in [*environment(service).values(), given.get("command")]]
    prometheus, blackbox = _scraped()
    scraped = {"prometheus": prometheus, "blackbox": blackbox}.get(service, set())
    return (_hosts(" ".join(texts)) | scraped) - {service}


@ALL
def test_the_calls_are_those_of_the_configuration(name: str) -> None:
    assert _called(name) == CALLS.get(name, set())


@pytest.mark.parametrize("name", sorted(COMPOSE["networks"]))
def test_a_network_has_only_members_of_which_one_calls_the_other(name: str) -> None:
    allowed = {frozenset((caller, called)) for caller in CALLS for called in CALLS[caller]}
    allowed |= {frozenset(pair) for pair in combinations(SHOP, 2)}
    sharing = {frozenset(pair) for pair in combinations(members(name), 2)}
    assert sharing
    assert sharing <= allowed


@ALL
def test_a_service_has_a_network_for_each_call_and_no_other(name: str) -> None:
    for called in CALLS.get(name, ()):
        assert networks(name) & networks(called), called
    assert networks(name) <= set(COMPOSE["networks"])
    assert bool(networks(name)) == (name != "config")


def test_the_gateway_is_not_in_the_databases_networks() -> None:
    assert not networks("gateway") & networks("db")


def _first(name: str) -> str:
    """Return the network in which a service's ports are published: the first with a way out."""
    internal = {n for n, given in COMPOSE["networks"].items() if (given or {}).get("internal")}
    return min(networks(name) - internal)


@pytest.mark.parametrize("name", [name for name in SERVICES if "ports" in SERVICES[name]])
def test_published_ports_need_a_network_that_is_not_internal(name: str) -> None:
    assert _first(name)


@pytest.mark.parametrize("name", ["prometheus", "alertmanager"])
def test_who_calls_the_shop_does_not_listen_where_the_shop_is(name: str) -> None:
    flag = "--web.listen-address="
    listening = [c.removeprefix(flag) for c in SERVICES[name]["command"] if c.startswith(flag)]
    port = SERVICES[name]["ports"][0].rpartition(":")[2]
    assert listening == [f"127.0.0.1:{port}", f"{name}.monitoring:{port}"]
    given = SERVICES[name]["networks"]
    assert given["monitoring"] == {"aliases": [f"{name}.monitoring"]}
    assert not any(value for network, value in given.items() if network != "monitoring")
    assert _first(name) == "monitoring"  # else its port could not be published
    assert not members("monitoring") & {*SHOP, "gateway", "db"}


def test_blackbox_listens_only_where_prometheus_calls_it() -> None:
    flag = "--web.listen-address="
    given = SERVICES["blackbox"]
    listening = [c.removeprefix(flag) for c in given["command"] if c.startswith(flag)]
    assert listening == ["127.0.0.1:9115", "blackbox.scrape-probes:9115"]
    aliases = {"scrape-probes": {"aliases": ["blackbox.scrape-probes"]}}
    assert given["networks"] == {"edge": None, "health": None, **aliases}
    assert members("scrape-probes") == {"blackbox", "prometheus"}


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the names of all variables that the shop's settings read."""
    folder = tmp_path_factory.mktemp("web")
    folders = {name: str(folder / name) for name in ("VAR_DIR", "LOG_DIR", "METRIC_FILES_DIR")}
    done = subprocess.run(
        [sys.executable, "-c", WEB],
        cwd=ROOT / "app",
        env={"PATH": os.environ["PATH"], "DEBUG": "True", "WEB_CONCURRENCY": "2", **folders},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_web_and_worker_get_exactly_the_settings_that_the_shop_reads(read: set[str]) -> None:
    others = {"BACKUP_KEY", "BACKUP_DIR", "PROXY_LOG"}
    assert set(environment("web")) == read - IN_IMAGE - others
    logs = {"LOG_DIR": "/app/logs/worker", "PROXY_LOG": "/app/logs/proxy.log"}
    assert environment("worker") == {**environment("web"), **logs}


def test_what_is_set_in_dot_env_reaches_them() -> None:
    fixed = {"PORT", "WORKER_METRICS_PORT", "METRIC_FILES_DIR"}
    for name, value in environment("web").items():
        passed = value is None or re.match(rf"\$\{{{name}:[-+]", value)
        assert bool(passed) == (name not in fixed), name


def test_the_gateway_gets_exactly_what_it_reads() -> None:
    recording = Recording()
    with suppress(gateway.SettingsError):  # it refuses, without DEBUG, once it has read all
        gateway.read(recording)
    assert set(environment("gateway")) == recording.names - IN_IMAGE | {"LOG_DIR"}


@pytest.mark.parametrize("name", ["migrate", "populate"])
def test_commands_get_the_database_and_no_secret_but_its_password(
    name: str, read: set[str], tmp_path: Path
) -> None:
    given = environment(name)
    assert set(given) <= read
    folders = {"VAR_DIR": str(tmp_path / "var"), "LOG_DIR": str(tmp_path / "logs")}
    values = {key: value for key, value in given.items() if value and "$" not in value}
    production = {"DEBUG": "False", "DATABASE_URL": "postgresql://shop:long-password@127.0.0.1:1/s"}
    done = subprocess.run(
        [sys.executable, "-c", "import config.settings"],
        cwd=ROOT / "app",
        env={"PATH": os.environ["PATH"], **folders, **values, **production},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def _secrets(name: str) -> set[str]:
    """Return the secrets of the installation that reach a service."""
    texts = [*environment(name).items(), ("command", str(SERVICES[name].get("command")))]
    found = {key for key, value in texts if value is None}
    for _, value in texts:
        found |= set(re.findall(r"\$\{([A-Z_]+)(?!:\+)\b", str(value)))
    return {key for key in found if SECRET.search(key)}


@ALL
def test_a_container_gets_only_the_secrets_that_it_uses(name: str) -> None:
    assert "env_file" not in SERVICES[name]
    assert _secrets(name) == {secret for secret, users in SECRETS.items() if name in users}


def test_every_secret_of_the_installation_is_known() -> None:
    example = (ROOT / ".env.example").read_text("utf-8")
    named = re.findall(r"^(?:# ?)?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE)
    assert {name for name in named if SECRET.search(name)} == set(SECRETS)


@ALL
def test_a_container_has_minimal_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == CAPABILITIES.get(name, [])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] == (name not in WRITABLE)
    assert 0 < service["pids_limit"] <= 512


@pytest.mark.parametrize("exception", ["cap_add:", "read_only: false"])
def test_an_exception_has_its_reason_in_the_file(exception: str) -> None:
    found = re.findall(rf"^(.*)\n +{exception}", TEXT, re.MULTILINE)
    assert found
    assert all(line.strip().startswith("# ") for line in found)


@ALL
def test_its_temporary_files_have_a_limit_below_that_of_its_memory(name: str) -> None:
    service = SERVICES[name]
    sizes = [re.fullmatch(r"/[\w/]+:size=(\d+)m", entry) for entry in service["tmpfs"]]
    total = sum(int(size[1]) for size in sizes if size)
    assert all(sizes)
    assert 0 < total < int(service["mem_limit"].removesuffix("m"))
