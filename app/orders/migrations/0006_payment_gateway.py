from django.db import migrations, models

import orders.models

HELP = 'GATEWAY_NAME of the gateway that may know it; empty: the present one'


class Migration(migrations.Migration):
    dependencies = [('orders', '0005_confirmations_to_outbox')]

    operations = [
        # Existing payments are of the gateway that is configured now.
        migrations.AddField(
            'payment',
            'gateway',
            models.CharField(
                max_length=100, default=orders.models.gateway_name, blank=True, help_text=HELP
            ),
        ),
        migrations.AlterField(
            'payment',
            'gateway',
            models.CharField(
                max_length=100,
                default=orders.models.gateway_name,
                db_default='',
                blank=True,
                help_text=HELP,
            ),
        ),
    ]
