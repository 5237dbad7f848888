"""Keys that may be used from some networks alone."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0010_audit_log")]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="allowed_networks",
            field=models.JSONField(
                blank=True,
                help_text="List of networks (CIDR) that it may be used from; null allows all.",
                null=True,
            ),
        ),
    ]
