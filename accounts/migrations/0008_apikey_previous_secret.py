"""Keys that are rolled: the secret before lives on for a while."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_project_caching")]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="previous_secret_hmac",
            field=models.BinaryField(
                help_text="Of the secret before the last roll.", max_length=32, null=True, unique=True
            ),
        ),
        migrations.AddField(
            model_name="apikey",
            name="previous_secret_ends_at",
            field=models.DateTimeField(
                editable=False, help_text="The secret before the last roll serves until then.", null=True
            ),
        ),
    ]
