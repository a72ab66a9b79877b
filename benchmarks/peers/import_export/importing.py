"""django-import-export: takes a CSV file into the table `feed_copy`; prints its seconds.

As its documentation advises for large files: in bulk, without diffs or reports of each row, and
with rows looked up at once. The search text is computed, since the table has its index.
"""

import os
import sys
import time
from pathlib import Path

import dj_database_url
import django
from django.conf import settings

settings.configure(
    DATABASES={"default": dj_database_url.parse(os.environ["DATABASE_URL"])},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.contenttypes", "import_export"],
    USE_TZ=True,
)
django.setup()

import tablib
from django.db import models
from import_export import resources
from import_export.instance_loaders import CachedInstanceLoader


class Product(models.Model):
    """A row of the shop's products, as far as a feed has it."""

    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=120, unique=True)
    description = models.TextField(default="")
    search_text = models.TextField(default="")
    image = models.CharField(max_length=200, default="image")
    price = models.DecimalField(max_digits=10, decimal_places=2)
    currency = models.CharField(max_length=3, default="EUR")
    stock = models.IntegerField(default=0)
    is_active = models.BooleanField(default=True)
    source = models.CharField(max_length=40, default="feed")
    sku = models.CharField(max_length=64)
    ean = models.CharField(max_length=14, default="")
    category_id = models.BigIntegerField(default=int(os.environ["CATEGORY"]))

    class Meta:
        app_label = "contenttypes"
        db_table = "feed_copy"
        managed = False

    def __str__(self) -> str:
        return self.name


class ProductResource(resources.ModelResource):  # type: ignore[misc]
    """How a row is imported."""

    class Meta:
        model = Product
        import_id_fields = ("sku",)
        fields = ("sku", "name", "description", "ean", "price", "stock")
        instance_loader_class = CachedInstanceLoader
        use_bulk = True
        batch_size = 1000
        skip_diff = True
        report_skipped = False

    def before_save_instance(self, instance: Product, _row: object, **_options: object) -> None:
        """Fill what is not in the file."""
        instance.slug = instance.sku.lower()
        instance.search_text = f"{instance.name}\n{instance.description}".lower()


def main() -> None:
    """Import the file and print."""
    started = time.perf_counter()
    data = tablib.Dataset().load(Path(sys.argv[1]).read_text(), format="csv")
    ProductResource().import_data(data, raise_errors=True)
    print(time.perf_counter() - started)
    assert Product.objects.count() == len(data)  # noqa: S101 - a benchmark


if __name__ == "__main__":
    main()
