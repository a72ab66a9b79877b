"""Store when each periodic job last succeeded."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('retail', '0005_help_texts'),
    ]

    operations = [
        migrations.CreateModel(
            name='JobSuccess',
            fields=[
                ('task', models.CharField(max_length=100, primary_key=True, serialize=False)),
                ('at', models.DateTimeField()),
            ],
        ),
    ]
