"""Keys whose answers get shorter where their money is short."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_invitations")]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="is_budget_clamped",
            field=models.BooleanField(
                default=False,
                help_text="Where money is short, the answer gets shorter instead of being refused.",
            ),
        ),
    ]
