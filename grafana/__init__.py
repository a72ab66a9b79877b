"""Grafana: dashboards, alert rules and provisioning."""
