"""Nothing is sold for 0.00: the payment gateway could not charge it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("products", "0004_free_products_off_sale")]

    operations = [
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
