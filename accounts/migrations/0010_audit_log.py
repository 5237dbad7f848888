"""Who did what to an organization."""

import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0009_management_tokens")]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("actor", models.CharField(help_text="The person's address at the time.", max_length=256)),
                (
                    "via",
                    models.CharField(
                        choices=[("pages", "Pages"), ("api", "Management API"), ("key", "API key")],
                        max_length=8,
                    ),
                ),
                (
                    "credential",
                    models.CharField(
                        blank=True,
                        help_text="The token or key that was used, by its name.",
                        max_length=256,
                    ),
                ),
                ("action", models.CharField(help_text="As in key.create.", max_length=64)),
                ("target_id", models.UUIDField(null=True)),
                ("target", models.CharField(blank=True, help_text="What it was called.", max_length=256)),
                (
                    "changed",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64),
                        default=list,
                        help_text="The names of the fields that were set.",
                        size=None,
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="audit_entries",
                        to="accounts.organization",
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at"],
                "indexes": [
                    models.Index(
                        fields=["organization", "-created_at", "-id"], name="audit_entry_by_organization"
                    ),
                    models.Index(fields=["organization", "target_id"], name="audit_entry_by_target"),
                ],
            },
        ),
    ]
