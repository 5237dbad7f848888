"""Projects whose requests get the answer that the same request had before, for a while."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_apikey_role")]

    operations = [
        migrations.AddField(
            model_name="project",
            name="is_caching_on",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Give the answer that the same request of this project had before.",
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="cache_ttl_seconds",
            field=models.PositiveIntegerField(
                db_default=60, default=60, help_text="How long an answer may be given again."
            ),
        ),
        migrations.AddConstraint(
            model_name="project",
            constraint=models.CheckConstraint(
                condition=models.Q(("cache_ttl_seconds__gte", 10), ("cache_ttl_seconds__lte", 31_536_000)),
                name="project_cache_ttl_in_range",
            ),
        ),
    ]
