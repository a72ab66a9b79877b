"""SQLite did not use indexes that begin with is_active: it sorted all products for each page."""

from django.db import migrations, models
from django.db.models import Q

ACTIVE = Q(is_active=True)


class Migration(migrations.Migration):
    dependencies = [('products', '0006_search_text')]

    operations = [
        migrations.RemoveIndex('product', 'product_by_name'),
        migrations.RemoveIndex('product', 'product_shelf'),
        migrations.AddIndex(
            'product', models.Index(fields=['name', 'id'], name='product_by_name', condition=ACTIVE)
        ),
        migrations.AddIndex(
            'product',
            models.Index(fields=['category', 'name'], name='product_shelf', condition=ACTIVE),
        ),
    ]
