"""Usage events of legs of races that did not answer have an ending of their own. Nothing in the table changes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0027_usage_event_labels")]

    operations = [
        migrations.AlterField(
            model_name="usageevent",
            name="ending",
            field=models.CharField(
                choices=[
                    ("completed", "Completed"),
                    ("refused", "Refused by Farebox"),
                    ("upstream_error", "Provider error"),
                    ("client_left", "Client left"),
                    ("cut", "Cut by Farebox"),
                    ("recovered", "Recovered after a crash"),
                    ("replayed", "Replayed by its Idempotency-Key"),
                    ("race_leg", "Leg of a race that did not answer"),
                ],
                max_length=16,
            ),
        ),
    ]
