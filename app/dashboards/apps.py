"""The dashboard that staff look at, and the metrics API."""

from django.apps import AppConfig


class DashboardsConfig(AppConfig):
    name = "dashboards"
