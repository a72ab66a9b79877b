from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("cart", "0002_visitor"),
    ]

    operations = [
        migrations.AddField(
            model_name="cartitem",
            name="form_key",
            field=models.UUIDField(
                editable=False, help_text="form that added to it last", null=True
            ),
        ),
        migrations.AddField(
            model_name="cartitem",
            name="form_sent_at",
            field=models.DateTimeField(editable=False, help_text="when it was sent", null=True),
        ),
    ]
