"""An ending for requests that got an earlier one's answer by their Idempotency-Key; no table is changed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0010_ledger_audits_append_only")]

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
                ],
                max_length=16,
            ),
        ),
    ]
