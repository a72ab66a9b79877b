"""Grafana's dashboards and what it is provisioned with."""
