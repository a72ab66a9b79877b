"""Django's admin with the shop's own site."""

from django.contrib.admin.apps import AdminConfig


class ShopAdminConfig(AdminConfig):
    """Named in INSTALLED_APPS in the place of `django.contrib.admin`."""

    default_site = "config.admin_site.ShopAdminSite"
