"""Usage events keep the client's signature and metadata, and are found by session and by metadata."""

import django.contrib.postgres.indexes
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0026_payments_as_first_asked")]

    operations = [
        migrations.AddField(
            model_name="usageevent",
            name="signature",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="The client that sent it, as its body says.",
                max_length=256,
            ),
        ),
        migrations.AddField(
            model_name="usageevent",
            name="metadata",
            field=models.JSONField(
                db_default={},
                default=dict,
                help_text="Names and texts that the client gave it.",
            ),
        ),
        migrations.AddIndex(
            model_name="usageevent",
            index=models.Index(
                models.F("organization_id"),
                models.F("session_id"),
                models.F("occurred_at"),
                condition=models.Q(("session_id", ""), _negated=True),
                name="usage_event_by_session",
            ),
        ),
        migrations.AddIndex(
            model_name="usageevent",
            index=django.contrib.postgres.indexes.GinIndex(
                condition=models.Q(("metadata", {}), _negated=True),
                fastupdate=False,
                fields=["metadata"],
                name="usage_event_by_metadata",
            ),
        ),
    ]
