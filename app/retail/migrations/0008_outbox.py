"""The outbox of e-mails."""

import django.utils.timezone
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('retail', '0007_late_rows'),
    ]

    operations = [
        migrations.CreateModel(
            name='Email',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=40)),
                ('about', models.CharField(help_text='order reference or user id', max_length=64)),
                ('context', models.JSONField(blank=True, default=dict, help_text='no secrets')),
                ('message_id', models.UUIDField(default=uuid.uuid4, help_text='the same at each attempt')),
                ('request_id', models.CharField(blank=True, max_length=64)),
                ('state', models.CharField(choices=[('waiting', 'waiting to be sent'), ('sent', 'accepted by the mail server'), ('not_needed', 'nobody to write to'), ('refused', 'refused by the mail server for good'), ('uncertain', 'handed over twice, without an answer'), ('given_up', 'not accepted within a day')], default='waiting', max_length=10)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('unanswered', models.PositiveIntegerField(default=0, help_text='times that the server was given the text and did not answer')),
                ('last_error', models.CharField(blank=True, max_length=200)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('due_at', models.DateTimeField(default=django.utils.timezone.now, help_text='when the worker claims it')),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'verbose_name': 'e-mail',
                'indexes': [models.Index(condition=models.Q(('state', 'waiting')), fields=['due_at'], name='email_due'), models.Index(condition=models.Q(('ended_at__isnull', False)), fields=['ended_at'], name='email_ended')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state', 'waiting')), fields=('kind', 'about'), name='one_waiting_email_a_subject'), models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('state', 'waiting')), models.Q(models.Q(('state', 'waiting'), _negated=True), ('ended_at__isnull', False)), _connector='OR'), name='email_ended_unless_waiting')],
            },
        ),
    ]
