"""Verified e-mail addresses. Those that accounts have already count as verified."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now

from accounts.addresses import normalized

BATCH = 1000


def _trust(apps, schema_editor):
    """Regard each account's address as verified; if several have one, that of active staff, then
    of the oldest account. All accounts stay, and the others can have theirs confirmed."""
    User = apps.get_model("auth", "User")
    EmailAddress = apps.get_model("accounts", "EmailAddress")
    users = User.objects.using(schema_editor.connection.alias).exclude(email="")
    users = users.order_by("-is_active", "-is_superuser", "-is_staff", "pk")
    seen, rows = set(), []
    for pk, email in users.values_list("pk", "email").iterator():
        if (key := normalized(email)) not in seen:
            seen.add(key)
            rows.append(EmailAddress(user_id=pk, verified=key, verified_at=Now()))
    EmailAddress.objects.using(schema_editor.connection.alias).bulk_create(rows, batch_size=BATCH)


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0007_recovery_codes'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='EmailAddress',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('verified', models.CharField(help_text='normalised (accounts.addresses)', max_length=254, null=True, unique=True)),
                ('verified_at', models.DateTimeField(null=True)),
                ('pending', models.EmailField(blank=True, help_text='waits for its link to be opened', max_length=254)),
                ('pending_since', models.DateTimeField(null=True)),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='email_address', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.RunPython(_trust, migrations.RunPython.noop),
    ]
