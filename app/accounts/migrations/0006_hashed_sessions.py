"""Store session keys hashed, and when and from where a session was used. Logs everybody out."""

import django.utils.timezone
from django.db import migrations, models


def _end_all(apps, schema_editor):
    """Delete all sessions: their keys may be in old backups."""
    apps.get_model("accounts", "Session").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_drop_axes")]

    operations = [
        migrations.RunPython(_end_all, _end_all),
        migrations.AlterField(
            "session",
            "session_key",
            models.CharField(
                help_text="hash of the key", max_length=64, primary_key=True, serialize=False
            ),
        ),
        migrations.AlterField(
            "session", "user_id", models.BigIntegerField(db_index=True, editable=False, null=True)
        ),
        migrations.AddField(
            "session",
            "started_at",
            models.DateTimeField(
                default=django.utils.timezone.now, help_text="when the user logged in"
            ),
        ),
        migrations.AddField(
            "session", "seen_at", models.DateTimeField(default=django.utils.timezone.now)
        ),
        migrations.AddField(
            "session",
            "client",
            models.CharField(blank=True, help_text="IP address", max_length=45),
        ),
        migrations.AddField("session", "browser", models.CharField(blank=True, max_length=60)),
    ]
