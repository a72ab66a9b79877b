"""Search texts of products, without case and accents, and an index of products by name."""

from django.db import migrations, models

import products.search
from products.search_index import drop_index


def fill(apps, schema_editor):
    product = apps.get_model("products", "Product")
    keys = product.objects.order_by("pk").values_list("pk", flat=True)
    products.search.refold(product, list(keys), schema_editor.connection.alias)


def drop(apps, schema_editor):
    drop_index(schema_editor.connection.alias)


class Migration(migrations.Migration):

    dependencies = [
        ('products', '0005_prices_above_zero'),
    ]

    operations = [
        migrations.AddField(
            model_name='product',
            name='search_text',
            field=products.search.SearchTextField(sources=('name', 'description')),
        ),
        migrations.RunPython(fill, drop),
        migrations.AddIndex(
            model_name='product',
            index=models.Index(fields=['is_active', 'name', 'id'], name='product_by_name'),
        ),
    ]
