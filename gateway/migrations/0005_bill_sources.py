"""Where providers tell the operator's costs and usage."""

import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0004_budget_alerts"),
    ]

    operations = [
        migrations.CreateModel(
            name="BillSource",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "provider",
                    models.SlugField(
                        help_text="The provider's name in model strings.", max_length=64, unique=True
                    ),
                ),
                (
                    "dialect",
                    models.CharField(
                        choices=[
                            ("openai", "OpenAI: organization costs and usage"),
                            ("anthropic", "Anthropic: cost and usage reports"),
                        ],
                        max_length=16,
                    ),
                ),
                ("base_url", models.CharField(max_length=512)),
                ("encrypted_admin_key", models.BinaryField()),
                ("admin_key_tail", models.CharField(blank=True, editable=False, max_length=4)),
                ("is_active", models.BooleanField(default=True)),
                (
                    "fetched_at",
                    models.DateTimeField(editable=False, help_text="When it was last asked.", null=True),
                ),
                (
                    "failure",
                    models.CharField(
                        blank=True,
                        editable=False,
                        help_text="Why the last fetch failed; empty: it did not.",
                        max_length=512,
                    ),
                ),
            ],
            options={
                "ordering": ["provider"],
            },
        ),
    ]
