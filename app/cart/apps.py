"""Shopping carts of customers and visitors."""

from django.apps import AppConfig


class CartConfig(AppConfig):
    name = "cart"
