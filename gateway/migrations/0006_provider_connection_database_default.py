"""Let processes of the version before insert connections: what they do not know gets a database default."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0005_bill_sources")]

    operations = [
        migrations.AlterField(
            model_name="providerconnection",
            name="region",
            field=models.SlugField(
                blank=True,
                db_default="",
                default="",
                help_text="Where its endpoint is, if the price book has other prices there; empty: everywhere.",
                max_length=32,
            ),
        ),
    ]
