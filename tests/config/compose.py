"""docker-compose.yml as tests read it, and who calls whom in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)  # with merge keys resolved
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

# Who calls whom: the one list that the networks must follow.
CALLS = {
    "proxy": {"web"},
    "web": {"db", "gateway"},
    "worker": {"db", "gateway"},
    "migrate": {"db"},
    "populate": {"db"},
    "backup": {"db", "gateway"},
    "shoppers": {"web"},
    "postgres-exporter": {"db"},
    "blackbox": {"proxy", "web", "worker"},
    "prometheus": {
        *("web", "worker", "gateway", "blackbox", "node-exporter", "postgres-exporter"),
        *("alertmanager", "loki", "collector", "grafana"),
    },
    "alertmanager": {"web"},
    "loki": {"alertmanager"},
    "collector": {"loki"},
    "grafana": {"prometheus", "loki", "alertmanager"},
}
# One program with the same rights: they do not call each other, but may share networks.
SHOP = {"web", "worker", "migrate", "populate", "backup"}


def networks(service: str) -> set[str]:
    """Return the networks that a service is in."""
    found = SERVICES[service]
    return set() if "network_mode" in found else set(found.get("networks") or ["default"])


def members(network: str) -> set[str]:
    """Return the services that are in a network."""
    return {name for name in SERVICES if network in networks(name)}


def environment(service: str) -> dict[str, Any]:
    """Return a service's variables as they are written; None is that of the same name."""
    return dict(SERVICES[service].get("environment") or {})
