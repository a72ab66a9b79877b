"""The staff dashboard and the metrics API."""

from django.apps import AppConfig


class DashboardsConfig(AppConfig):
    name = "dashboards"
