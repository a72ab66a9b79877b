"""The aggregates of a rollup are called what they are."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ("retail", "0003_rollup_facts"),
    ]

    operations = [
        migrations.RenameField(model_name="metricrollup", old_name="facts", new_name="aggregates"),
    ]
