"""App configuration of synthetic shoppers and staged incidents."""

from django.apps import AppConfig


class DrillsConfig(AppConfig):
    name = "drills"
