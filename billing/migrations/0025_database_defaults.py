"""Let processes of the version before insert events and budgets: what they do not know gets a default."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0024_provider_statements_append_only")]

    operations = [
        migrations.AlterField(
            model_name="usageevent",
            name="cache_write_1h_tokens",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name="usageevent",
            name="would_refuse",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.UUIDField(),
                db_default=[],
                default=list,
                help_text="The observe-only budgets that did not cover it.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="budget",
            name="is_each",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Each tag or end user has this amount for itself; the subject is empty.",
            ),
        ),
        migrations.AlterField(
            model_name="budget",
            name="is_observed",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Refuses nothing; requests that it would have refused are counted.",
            ),
        ),
        migrations.AlterField(
            model_name="budget",
            name="is_rolling",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="The last hour, day, … of any moment, instead of the calendar's.",
            ),
        ),
        migrations.AlterField(
            model_name="budget",
            name="name",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
        migrations.AlterField(
            model_name="budget",
            name="subject",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="The tag, end user or model family that it binds.",
                max_length=256,
            ),
        ),
    ]
