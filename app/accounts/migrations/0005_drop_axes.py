"""Drop what django-axes has stored: the shop limits log-ins by itself now."""

from django.db import migrations

_LEFT = ("axes_accessattempt", "axes_accesslog", "axes_accessfailurelog", "axes_accessattemptexpiration")


def _forget_models(apps, schema_editor):
    """Delete the content types, and with them their permissions and admin log entries."""
    apps.get_model("contenttypes", "ContentType").objects.filter(app_label="axes").delete()


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_notices_about_orders"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        *(
            migrations.RunSQL(f"DROP TABLE IF EXISTS {table}", migrations.RunSQL.noop)
            for table in reversed(_LEFT)
        ),
        migrations.RunSQL(
            "DELETE FROM django_migrations WHERE app = 'axes'", migrations.RunSQL.noop
        ),
        migrations.RunPython(_forget_models, migrations.RunPython.noop),
    ]
