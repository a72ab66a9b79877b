"""Take free products off sale, before a constraint refuses them (0005)."""

from typing import Any

from django.db import migrations


def withdraw_free_products(apps: Any, _schema: object) -> None:
    """End flash sales at 0.00, and take products at 0.00 off sale."""
    products = apps.get_model("products", "Product").objects
    products.filter(flash_price__lte=0).update(
        flash_price=None, flash_starts_at=None, flash_ends_at=None
    )
    products.filter(price__lte=0).update(is_active=False)


class Migration(migrations.Migration):
    dependencies = [("products", "0003_reason_labels")]

    # In a migration of its own: PostgreSQL alters no table with changes that await their checks.
    operations = [migrations.RunPython(withdraw_free_products, migrations.RunPython.noop)]
