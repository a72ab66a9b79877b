"""Move alerts here from the dashboards app, with their content types; the tables stay."""

from django.db import migrations, models

MODELS = ("alert", "alertfeed")


def move_content_types(apps, schema_editor, before, after):
    """Move the content types, and so the permissions and admin log entries that refer to them."""
    content_types = apps.get_model("contenttypes", "ContentType").objects.using(schema_editor.connection.alias)
    content_types.filter(app_label=before, model__in=MODELS).update(app_label=after)


def forwards(apps, schema_editor):
    move_content_types(apps, schema_editor, "dashboards", "oncall")


def backwards(apps, schema_editor):
    move_content_types(apps, schema_editor, "oncall", "dashboards")


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ("contenttypes", "0002_remove_content_type_name"),
        ("dashboards", "0001_initial"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name='AlertFeed',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('heard_at', models.DateTimeField(null=True)),
                        ('heartbeat_at', models.DateTimeField(help_text='time of the last heartbeat', null=True)),
                    ],
                    options={
                        'db_table': 'dashboards_alertfeed',
                    },
                ),
                migrations.CreateModel(
                    name='Alert',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('fingerprint', models.CharField(help_text="Alertmanager's hash of the labels", max_length=64)),
                        ('name', models.CharField(max_length=200)),
                        ('severity', models.CharField(blank=True, max_length=40)),
                        ('service', models.CharField(blank=True, max_length=100)),
                        ('status', models.CharField(choices=[('firing', 'Firing'), ('resolved', 'Resolved')], max_length=8)),
                        ('origin', models.CharField(choices=[('prometheus', 'Prometheus'), ('grafana', 'Grafana'), ('loki', 'Loki')], max_length=10)),
                        ('labels', models.JSONField(default=dict)),
                        ('annotations', models.JSONField(default=dict)),
                        ('generator_url', models.TextField(blank=True)),
                        ('starts_at', models.DateTimeField()),
                        ('ends_at', models.DateTimeField(help_text='if it is firing again: the previous end', null=True)),
                        ('received_at', models.DateTimeField(help_text='time of the first notification')),
                        ('updated_at', models.DateTimeField(help_text='time of the last notification')),
                    ],
                    options={
                        'db_table': 'dashboards_alert',
                        'indexes': [models.Index(fields=['status', '-ends_at'], name='alert_status_end'), models.Index(fields=['updated_at'], name='alert_updated')],
                        'constraints': [models.UniqueConstraint(fields=('fingerprint', 'starts_at'), name='one_alert_a_fingerprint_and_start')],
                    },
                ),
            ],
        ),
        migrations.RunPython(forwards, backwards),
    ]
