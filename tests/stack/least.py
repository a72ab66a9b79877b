"""Least privilege on running containers: who reaches whom, and what the rights really are."""

from __future__ import annotations

import json

from tests.config.compose import CALLS, SERVICES, SHOP, environment, networks
from tests.stack.stack import check, compose, sql

LISTENING = {
    "db": 5432, "gateway": 8001, "web": 8000, "worker": 8002, "loki": 3100, "grafana": 3000,
    "prometheus": 9090, "alertmanager": 9093, "collector": 8888, "blackbox": 9115, "proxy": 8080,
    "postgres-exporter": 9187, "node-exporter": 9100,
}  # fmt: skip
REACHES = """
import json, socket, sys
reached = []
for host, port in json.loads(sys.argv[1]).items():
    try:
        socket.create_connection((host, port), timeout=3).close()
        reached.append(host)
    except OSError:
        pass
print(json.dumps(reached))
"""
RIGHTS = "SELECT rolname, rolsuper FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY rolname"


def rendered_as_tested() -> None:
    """Compare what compose makes of the file with what the tests of the file read."""
    text = compose("--profile", "*", "config", "--format", "json")
    rendered = json.loads(text)["services"]
    check("compose sees the services that the tests see", set(rendered) == set(SERVICES))
    for name, service in rendered.items():
        found = set(service.get("networks") or ()), set(service.get("environment") or ())
        if found != (networks(name), set(environment(name))):
            check(f"compose gives {name} its networks and variables", False)
    print("  compose gives every service its networks and variables")


def reached(service: str) -> set[str]:
    """Return whom a container can connect to."""
    others = {host: port for host, port in LISTENING.items() if host != service}
    arguments = ("python", "-c", REACHES, json.dumps(others))
    return set(json.loads(compose("exec", "-T", service, *arguments)))


def everything() -> None:
    """Test networks and rights."""
    print("least privilege")
    rendered_as_tested()
    for service in ("web", "worker", "gateway"):
        allowed = CALLS.get(service, set()) | (SHOP - {service} if service in SHOP else set())
        # A network has two directions: who is called can also connect to who calls.
        allowed |= {"proxy"} | {caller for caller in CALLS if service in CALLS[caller]}
        found = reached(service)
        check(
            f"{service} reaches only {', '.join(sorted(found)) or 'nobody'}",
            CALLS.get(service, set()) <= found <= allowed,
        )
    roles = dict(line.split("|") for line in sql(RIGHTS).splitlines())
    check(
        "the shop is no superuser", roles == {"exporter": "f", "postgres": "t", "retail_user": "f"}
    )
    status = compose("exec", "-T", "db", "grep", "CapEff", "/proc/1/status")
    check("PostgreSQL has no capability", int(status.split()[1], 16) == 0)
