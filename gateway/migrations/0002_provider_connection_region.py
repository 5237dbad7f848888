"""Say in which region a connection's endpoint is: some providers bill regions differently."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0001_provider_connections")]

    operations = [
        migrations.AddField(
            model_name="providerconnection",
            name="region",
            field=models.SlugField(
                blank=True,
                help_text="Where its endpoint is, if the price book has other prices there; empty: everywhere.",
                max_length=32,
            ),
        ),
    ]
