"""Limits of a key's own at the doors for programs."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("config", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="accesskey",
            name="requests_per_minute",
            field=models.PositiveIntegerField(
                blank=True, null=True,
                help_text="At the doors under /v1/; empty takes the instance's.",
            ),
        ),
        migrations.AddField(
            model_name="accesskey",
            name="tokens_per_day",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
    ]
