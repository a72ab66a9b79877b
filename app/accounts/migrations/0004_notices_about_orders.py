"""Every notice is about an order, so its link always says the same."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [('accounts', '0003_notices')]

    operations = [
        migrations.RemoveField('notice', 'link_text'),
        migrations.AlterField(
            'notice', 'link', models.CharField(max_length=200, help_text="path of the order's page")
        ),
    ]
