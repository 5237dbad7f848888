"""Count cache writes that live for an hour apart: they have a price of their own."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_usage_event_by_request")]

    operations = [
        migrations.AddField(
            model_name="usageevent",
            name="cache_write_1h_tokens",
            field=models.BigIntegerField(default=0),
        ),
    ]
