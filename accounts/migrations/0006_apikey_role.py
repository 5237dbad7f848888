"""Keys that may make management calls: what they may do is a role, as people have them."""

from django.db import migrations, models

ROLES = [
    ("owner", "Owner"),
    ("admin", "Admin"),
    ("developer", "Developer"),
    ("billing", "Billing"),
    ("viewer", "Viewer"),
]


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_project_is_body_logging_on")]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="role",
            field=models.CharField(
                blank=True,
                choices=ROLES,
                db_default="",
                default="",
                help_text="What it may do in management calls; empty: complete, and read what concerns itself.",
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(("role__in", ["", *(name for name, _ in ROLES)])),
                name="api_key_role_known",
            ),
        ),
    ]
