"""Find an organization's few top-ups among its many charges."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_people_organizations_keys"),
        ("billing", "0004_ledger_balanced"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="ledgertransfer",
            index=models.Index(
                fields=["organization", "kind", "-occurred_at"], name="ledger_transfer_by_kind"
            ),
        ),
    ]
