"""Rewrite help texts."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('retail', '0004_rollup_aggregates'),
    ]

    operations = [
        migrations.AlterField(
            model_name='auditcheck',
            name='checked',
            field=models.PositiveBigIntegerField(default=0, help_text='rows checked by that scan'),
        ),
        migrations.AlterField(
            model_name='auditcheck',
            name='checked_at',
            field=models.DateTimeField(help_text='when a scan last reached the end', null=True),
        ),
        migrations.AlterField(
            model_name='auditcheck',
            name='checkpoint',
            field=models.JSONField(default=dict, help_text='where the next scan starts'),
        ),
        migrations.AlterField(
            model_name='auditcheck',
            name='full_checked_at',
            field=models.DateTimeField(help_text='when a full scan last finished', null=True),
        ),
        migrations.AlterField(
            model_name='auditcheck',
            name='full_checkpoint',
            field=models.JSONField(help_text='where the daily full scan continues', null=True),
        ),
        migrations.AlterField(
            model_name='auditcheck',
            name='version',
            field=models.PositiveBigIntegerField(default=0, help_text='number of results stored'),
        ),
        migrations.AlterField(
            model_name='auditcheck',
            name='violations',
            field=models.PositiveIntegerField(default=0, help_text='open violations after the last scan'),
        ),
        migrations.AlterField(
            model_name='auditviolation',
            name='amount',
            field=models.PositiveBigIntegerField(default=1, help_text='units, if countable'),
        ),
        migrations.AlterField(
            model_name='metricrollup',
            name='aggregates',
            field=models.JSONField(blank=True, default=dict, help_text='merged metadata of the rows'),
        ),
    ]
