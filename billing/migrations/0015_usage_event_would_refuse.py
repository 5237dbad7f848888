"""Usage events name the observe-only budgets that did not cover them, and are found by end user."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0014_budgets_at_every_level")]

    operations = [
        migrations.AddField(
            model_name="usageevent",
            name="would_refuse",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.UUIDField(),
                default=list,
                help_text="The observe-only budgets that did not cover it.",
                size=None,
            ),
        ),
        migrations.AddIndex(
            model_name="usageevent",
            index=models.Index(
                models.F("organization_id"),
                models.F("end_user"),
                models.F("occurred_at"),
                condition=models.Q(("end_user", ""), _negated=True),
                name="usage_event_by_end_user",
            ),
        ),
        migrations.AddIndex(
            model_name="usageevent",
            index=django.contrib.postgres.indexes.GinIndex(
                condition=models.Q(("would_refuse", []), _negated=True),
                fastupdate=False,
                fields=["would_refuse"],
                name="usage_event_by_would_refuse",
            ),
        ),
    ]
