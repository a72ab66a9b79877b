"""What docker-compose.yml promises of each service: limits, restarts, health, ports, rights."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

FILE = Path(__file__).resolve().parents[2] / "docker-compose.yml"
TEXT = FILE.read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
ALL = pytest.mark.parametrize("name", sorted(SERVICES))
MEGABYTES = 1536
ONCE = {"migrate", "config"}
# The collector's image holds nothing that could ask, and nobody waits for shoppers.
WITHOUT_HEALTH_CHECK = {*ONCE, "collector", "shoppers"}
PUBLISHED = {
    "web": "127.0.0.1:${WEB_PORT:-8000}:8000",
    "db": "127.0.0.1:${DB_PORT:-5432}:5432",
    "gateway": "127.0.0.1:${GATEWAY_PAGE_PORT:-8001}:8001",
    "grafana": "127.0.0.1:${GRAFANA_PORT:-3000}:3000",
    "prometheus": "127.0.0.1:${PROMETHEUS_PORT:-9090}:9090",
    "alertmanager": "127.0.0.1:${ALERTMANAGER_PORT:-9093}:9093",
}


def test_the_services_are_the_shop_and_its_watch() -> None:
    watch = {"postgres-exporter", "prometheus", "alertmanager", "loki", "collector", "grafana"}
    assert set(SERVICES) == {"db", "gateway", "web", "worker", "shoppers", *ONCE, *watch}


def test_memory_limits_add_up_to_one_and_a_half_gigabytes() -> None:
    limits = [re.fullmatch(r"(\d+)m", one["mem_limit"]) for one in SERVICES.values()]
    assert 0 < sum(int(limit[1]) for limit in limits if limit) <= MEGABYTES
    assert all(limits)


def test_ports_are_published_to_this_machine_alone() -> None:
    published = {name: one["ports"] for name, one in SERVICES.items() if "ports" in one}
    assert published == {name: [port] for name, port in PUBLISHED.items()}


def test_only_the_demo_has_synthetic_shoppers() -> None:
    profiles = {name: one["profiles"] for name, one in SERVICES.items() if "profiles" in one}
    assert profiles == {"shoppers": ["demo"]}


def test_nobody_gets_the_docker_socket_or_more_than_others() -> None:
    assert not re.findall(r"docker\.sock|privileged|cap_add|\bpid: host|network_mode: host", TEXT)


@ALL
def test_it_starts_again_unless_it_runs_once(name: str) -> None:
    assert SERVICES[name]["restart"] == ("no" if name in ONCE else "unless-stopped")


@ALL
def test_it_says_how_it_is(name: str) -> None:
    assert ("healthcheck" in SERVICES[name]) == (name not in WITHOUT_HEALTH_CHECK)


@ALL
def test_its_image_is_ours_or_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    assert image == "vitrine" or re.fullmatch(r"[\w./-]+:v?\d+\.\d+[\w.-]*", image)


@pytest.mark.parametrize(
    "name", sorted(set(SERVICES) - {"db"})
)  # its image needs more to begin with
def test_it_may_do_no_more_than_it_must(name: str) -> None:
    one = SERVICES[name]
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["read_only"] == (name != "grafana")  # it unpacks plugins where the image keeps them


def test_each_program_reads_only_what_was_rendered_for_it() -> None:
    folders = {"prometheus", "alertmanager", "loki"}
    reading = {
        name: [v for v in one.get("volumes", ()) if v.startswith("config-")]
        for name, one in SERVICES.items()
    }
    assert sorted(reading.pop("config")) == sorted(f"config-{n}:/config/{n}" for n in folders)
    expected = {name: [f"config-{name}:/config/{name}:ro"] for name in folders}
    assert {name: volumes for name, volumes in reading.items() if volumes} == expected
