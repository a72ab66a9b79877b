"""Returns of goods and refunds of money."""

from django.apps import AppConfig


class ReturnsConfig(AppConfig):
    name = "returns"
