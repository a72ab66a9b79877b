"""Remember which rows a rollup has seen, to find those that arrive late."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('retail', '0006_job_success'),
    ]

    operations = [
        migrations.AddField(
            model_name='rollupmark',
            name='checked_row',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='rollupmark',
            name='newest_row',
            field=models.BigIntegerField(null=True),
        ),
    ]
