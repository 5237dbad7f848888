"""Usage events say whether their answer came out of a cache, and in which way it was found."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0028_race_leg_ending")]

    operations = [
        migrations.AddField(
            model_name="usageevent",
            name="cache_hit",
            field=models.CharField(
                blank=True,
                choices=[("direct", "The same request"), ("semantic", "A request alike in meaning")],
                db_default="",
                default="",
                help_text="How the answer was found in the cache; empty: a provider gave it.",
                max_length=16,
            ),
        ),
        migrations.AddIndex(
            model_name="usageevent",
            index=models.Index(
                models.F("organization_id"),
                models.F("occurred_at"),
                condition=models.Q(("cache_hit", ""), _negated=True),
                name="usage_event_by_cache_hit",
            ),
        ),
    ]
