"""Events of sessions, e-mail addresses, own data and second factors."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('retail', '0009_security_events'),
    ]

    operations = [
        migrations.AlterField(
            model_name='securityevent',
            name='event',
            field=models.CharField(choices=[('log_in', 'log_in'), ('log_out', 'log_out'), ('account_created', 'account_created'), ('password_changed', 'password_changed'), ('email_changed', 'email_changed'), ('reset_requested', 'reset_requested'), ('reset_used', 'reset_used'), ('rights_changed', 'rights_changed'), ('session_ended', 'session_ended'), ('email_change_asked', 'email_change_asked'), ('email_confirmed', 'email_confirmed'), ('data_exported', 'data_exported'), ('account_erased', 'account_erased'), ('factor_added', 'factor_added'), ('factor_removed', 'factor_removed'), ('factor_used', 'factor_used'), ('admin_added', 'admin_added'), ('admin_changed', 'admin_changed'), ('admin_deleted', 'admin_deleted'), ('breaker_forced', 'breaker_forced'), ('breaker_released', 'breaker_released')], max_length=20),
        ),
    ]
