"""Room for versions that name a cost and a charge; a longer varchar rewrites no row."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0007_usage_event_cache_write_1h")]

    operations = [
        migrations.AlterField(
            model_name="usageevent",
            name="price_version",
            field=models.CharField(blank=True, max_length=1024),
        ),
    ]
