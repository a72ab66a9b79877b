"""Take the orders that were confirmed before dispatch was recorded as dispatched."""

from typing import Any

from django.db import migrations
from django.db.models import F


def dispatch(apps: Any, _schema: object) -> None:
    """Date the dispatch by the confirmation: what was sent since is not known.

    Otherwise customers could cancel orders that they received long ago.
    """
    sales = apps.get_model("orders", "Sale").objects
    sales.filter(status="CONFIRMED", dispatched_at=None, cancelled_at=None).update(
        dispatched_at=F("finished_at")
    )


class Migration(migrations.Migration):
    dependencies = [("orders", "0008_dispatch_and_refunds")]

    operations = [migrations.RunPython(dispatch, migrations.RunPython.noop)]
