"""Nothing is sold for 0.00: the payment gateway could not charge it."""

from typing import Any

from django.db import migrations, models


def withdraw_free_products(apps: Any, _schema: object) -> None:
    """End flash sales at 0.00, and take products at 0.00 off sale."""
    products = apps.get_model("products", "Product").objects
    products.filter(flash_price__lte=0).update(
        flash_price=None, flash_starts_at=None, flash_ends_at=None
    )
    products.filter(price__lte=0).update(is_active=False)


class Migration(migrations.Migration):
    dependencies = [("products", "0003_reason_labels")]

    operations = [
        migrations.RunPython(withdraw_free_products, migrations.RunPython.noop),
        migrations.RemoveConstraint(
            model_name="product", name="product_flash_price_between_zero_and_price"
        ),
        migrations.AddConstraint(
            model_name="product",
            constraint=models.CheckConstraint(
                condition=models.Q(("is_active", False), ("price__gt", 0), _connector="OR"),
                name="product_on_sale_has_a_price",
                violation_error_message="A product on sale must cost something.",
            ),
        ),
        migrations.AddConstraint(
            model_name="product",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("flash_price__isnull", True),
                    models.Q(("flash_price__gt", 0), ("flash_price__lte", models.F("price"))),
                    _connector="OR",
                ),
                name="product_flash_price_between_zero_and_price",
            ),
        ),
    ]
