"""Projects of an organization that stores prompts and answers may keep theirs out."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_apikey_database_default")]

    operations = [
        migrations.AddField(
            model_name="project",
            name="is_body_logging_on",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="Store prompts and answers when the organization does.",
            ),
        ),
    ]
