"""Fees: a kind of transfer, and the account that they go to."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0016_spending_notes")]

    operations = [
        migrations.AlterField(
            model_name="ledgeraccount",
            name="kind",
            field=models.CharField(
                choices=[
                    ("prepaid_credit", "Prepaid credit"),
                    ("platform_revenue", "Platform revenue"),
                    ("provider_cost", "Provider cost"),
                    ("provider_payable", "Owed to providers"),
                    ("promotion", "Promotion"),
                    ("adjustment", "Adjustment"),
                    ("payments", "Payments received"),
                    ("fees", "Fees"),
                ],
                max_length=32,
            ),
        ),
        migrations.AlterField(
            model_name="ledgertransfer",
            name="kind",
            field=models.CharField(
                choices=[
                    ("charge", "Usage"),
                    ("top_up", "Top-up"),
                    ("promotion", "Promotion"),
                    ("refund", "Refund"),
                    ("adjustment", "Adjustment"),
                    ("fee", "Fee"),
                ],
                max_length=16,
            ),
        ),
    ]
