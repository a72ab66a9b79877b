"""Alerts, their permissions and their history survive the move from the app dashboards."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType

from oncall.models import Alert
from tests.oncall.support import alert, receive
from tests.support import make_buyer, migrate

Targets = list[tuple[str, str | None]]

BEFORE: Targets = [("dashboards", "0001_initial"), ("oncall", None)]
AFTER: Targets = [("dashboards", "0002_alerts_to_oncall"), ("oncall", "0001_initial")]


def label_of(content_type: int) -> tuple[str, str]:
    row = ContentType.objects.get(pk=content_type)
    return row.app_label, row.model


@pytest.mark.usefixtures("migrated_afterwards")
def test_rows_content_types_and_permissions_move_there_and_back() -> None:
    receive(0, alert("RetailOversold"))
    stored = list(Alert.objects.values())
    content_type = ContentType.objects.get_for_model(Alert)
    permission = Permission.objects.get(content_type=content_type, codename="view_alert")
    group = Group.objects.create(name="on-call")
    group.permissions.add(permission)
    engineer = make_buyer("engineer")
    engineer.groups.add(group)
    assert engineer.has_perm("oncall.view_alert")

    migrate(*BEFORE)
    assert label_of(content_type.pk) == ("dashboards", "alert")
    migrate(*AFTER)
    assert label_of(content_type.pk) == ("oncall", "alert")
    assert list(group.permissions.values_list("pk", flat=True)) == [permission.pk]
    again = type(engineer).objects.get(pk=engineer.pk)
    assert again.has_perm("oncall.view_alert")
    assert not again.has_perm("dashboards.view_alert")
    assert list(Alert.objects.values()) == stored
    assert len(stored) == 1
