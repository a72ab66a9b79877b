"""Give movements of orders that were not paid the reason that they meant."""

from typing import Any

from django.db import migrations


def rename(old: str, new: str) -> Any:
    """Return a function that renames a reason."""

    def run(apps: Any, _schema: object) -> None:
        movements = apps.get_model("products", "StockMovement").objects
        movements.filter(reason=old).update(reason=new)

    return run


class Migration(migrations.Migration):
    dependencies = [("products", "0008_movement_reasons")]

    # Before customers returned anything, only orders that were not paid gave stock back.
    operations = [migrations.RunPython(rename("return", "release"), rename("release", "return"))]
