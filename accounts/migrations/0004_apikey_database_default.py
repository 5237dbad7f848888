"""Let processes of the version before insert keys: what they do not know gets a database default."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_apikey_is_budget_clamped")]

    operations = [
        migrations.AlterField(
            model_name="apikey",
            name="is_budget_clamped",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Where money is short, the answer gets shorter instead of being refused.",
            ),
        ),
    ]
