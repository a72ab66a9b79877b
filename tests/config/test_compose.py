"""docker-compose.yml: limits, restarts, health checks and ports of each service."""

import re

import pytest

from deployment import DEVELOPMENT, defaults
from tests.config.compose import ROOT, SERVICES, TEXT

ALL = pytest.mark.parametrize("name", sorted(SERVICES))
MEGABYTES = 2300
ONCE = {"migrate", "config", "populate", "backup"}
# The collector's image has no command for one, no service depends on shoppers, and the proxy is
# asked from outside.
WITHOUT_HEALTH_CHECK = {*ONCE, "collector", "shoppers", "proxy"}
PUBLISHED = {
    "proxy": "127.0.0.1:${WEB_PORT:-8000}:8080",
    "db": "127.0.0.1:${DB_PORT:-5432}:5432",
    "gateway": "127.0.0.1:${GATEWAY_PAGE_PORT:-8001}:8001",
    "grafana": "127.0.0.1:${GRAFANA_PORT:-3000}:3000",
    "prometheus": "127.0.0.1:${PROMETHEUS_PORT:-9090}:9090",
    "alertmanager": "127.0.0.1:${ALERTMANAGER_PORT:-9093}:9093",
}


def test_the_services_are_the_shop_and_its_monitoring() -> None:
    exporters = {"postgres-exporter", "blackbox", "node-exporter"}
    monitoring = {*exporters, "prometheus", "alertmanager", "loki", "collector", "grafana"}
    assert set(SERVICES) == {
        "db",
        "gateway",
        "web",
        "proxy",
        "worker",
        "shoppers",
        *ONCE,
        *monitoring,
    }


def test_memory_limits_add_up_to_at_most_2_3_gigabytes() -> None:
    limits = [re.fullmatch(r"(\d+)m", service["mem_limit"]) for service in SERVICES.values()]
    assert 0 < sum(int(limit[1]) for limit in limits if limit) <= MEGABYTES
    assert all(limits)


def test_ports_are_published_only_on_localhost() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {name: [port] for name, port in PUBLISHED.items()}


def test_only_the_demo_has_synthetic_shoppers() -> None:
    profiles = {
        name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service
    }
    assert profiles == {"populate": ["demo"], "shoppers": ["demo"], "backup": ["backup"]}


def test_no_service_has_the_docker_socket_or_extra_privileges() -> None:
    assert not re.findall(r"docker\.sock|privileged|\bpid: host|network_mode: host", TEXT)


@ALL
def test_it_restarts_unless_it_runs_once(name: str) -> None:
    assert SERVICES[name]["restart"] == ("no" if name in ONCE else "unless-stopped")


@ALL
def test_it_has_a_health_check(name: str) -> None:
    assert ("healthcheck" in SERVICES[name]) == (name not in WITHOUT_HEALTH_CHECK)


@ALL
def test_its_image_is_built_here_or_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    assert image == "vitrine" or re.fullmatch(r"[\w./-]+:v?\d+\.\d+[\w.-]*", image)


def test_each_program_mounts_only_its_own_configuration() -> None:
    folders = {"prometheus", "alertmanager", "blackbox", "loki", "grafana"}
    reading = {
        name: [v for v in service.get("volumes", ()) if v.startswith("config-")]
        for name, service in SERVICES.items()
    }
    made = set(re.findall(r"/config/(\w+)", (ROOT / "Dockerfile").read_text(encoding="utf-8")))
    assert made == folders  # a new volume gets the owner of its folder in the image
    assert sorted(reading.pop("config")) == sorted(f"config-{n}:/config/{n}" for n in folders)
    expected = {name: [f"config-{name}:/config/{name}:ro"] for name in folders}
    expected["grafana"] = ["config-grafana:/etc/grafana/provisioning/alerting:ro"]
    assert {name: volumes for name, volumes in reading.items() if volumes} == expected


def test_no_mount_hides_the_folders_of_grafanas_image() -> None:
    """Grafana logs an error for each folder of provisioning/ that is missing."""
    targets = [volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]]
    mounted = {t for t in targets if t.startswith("/etc/grafana/provisioning")}
    folders = ("alerting", "dashboards", "datasources")
    assert mounted == {f"/etc/grafana/provisioning/{name}" for name in folders}


def test_grafana_has_more_memory_than_it_idles_at_and_compresses_nothing() -> None:
    grafana = SERVICES["grafana"]
    assert int(grafana["mem_limit"].removesuffix("m")) >= 512
    assert grafana["environment"]["GF_SERVER_ENABLE_GZIP"] == "false"


@pytest.mark.parametrize("service", ["config", "gateway"])
def test_who_refuses_development_values_is_given_them(service: str) -> None:
    given = SERVICES[service]["environment"]
    for name in defaults(service):
        assert given[name] == f"${{{name}:-{DEVELOPMENT[name].default}}}", name


@pytest.mark.parametrize("service", ["config", "gateway", "migrate", "web", "worker", "shoppers"])
def test_compose_is_for_development_unless_told_otherwise(service: str) -> None:
    given = SERVICES[service]["environment"]
    assert (given["DEBUG"], given["DEMO"]) == ("${DEBUG:-True}", "${DEMO:-False}")


def test_the_proxy_reaches_only_web_and_writes_only_its_log_and_a_sized_tmp() -> None:
    proxy = SERVICES["proxy"]
    assert proxy["networks"] == ["edge"]
    reached = {name for name, service in SERVICES.items() if "edge" in service.get("networks", ())}
    assert reached == {"proxy", "web", "blackbox"}
    assert proxy["tmpfs"] == ["/tmp:size=48m"]
    assert [volume for volume in proxy["volumes"] if not volume.endswith(":ro")] == ["logs:/logs"]
    assert proxy["pids_limit"] > 0
    assert not proxy["user"].startswith(("0", "root"))


def test_web_believes_its_proxy() -> None:
    assert SERVICES["web"]["environment"]["TRUSTED_PROXIES"] == "${TRUSTED_PROXIES:-1}"
