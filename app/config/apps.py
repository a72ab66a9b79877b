"""Django's admin app with the shop's own admin site."""

from django.contrib.admin.apps import AdminConfig


class ShopAdminConfig(AdminConfig):
    """Replaces `django.contrib.admin` in INSTALLED_APPS."""

    default_site = "config.admin_site.ShopAdminSite"

    def ready(self) -> None:
        """Register the deployment checks."""
        super().ready()
        from config import checks  # noqa: F401, PLC0415 - it reads the settings
