"""Bearer tokens of the management API."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0008_apikey_previous_secret")]

    operations = [
        migrations.CreateModel(
            name="ManagementToken",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("name", models.CharField(max_length=120)),
                ("secret_hmac", models.BinaryField(max_length=32, unique=True)),
                ("pepper_id", models.CharField(editable=False, max_length=16)),
                ("last_four", models.CharField(editable=False, max_length=4)),
                (
                    "scope",
                    models.CharField(choices=[("read", "Read"), ("write", "Read and write")], max_length=8),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("last_used_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "membership",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="management_tokens",
                        to="accounts.membership",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("scope__in", ["read", "write"])),
                        name="management_token_scope_known",
                    )
                ],
            },
        ),
    ]
