"""Find a request by the id that its client knows."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0005_ledger_transfer_by_kind")]

    operations = [
        migrations.AddIndex(
            model_name="usageevent",
            index=models.Index("organization_id", "request_id", name="usage_event_by_request"),
        ),
    ]
