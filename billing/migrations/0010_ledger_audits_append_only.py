"""Refuse UPDATE, DELETE and TRUNCATE on the audits: what was found stays found."""

from django.db import migrations

TABLES = ("billing_ledgeraudit", "billing_ledgerauditfinding")
FORWARD = "".join(
    f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
    " FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_ledger_change();"
    for table in TABLES
)
BACKWARD = "".join(f"DROP TRIGGER append_only ON {table};" for table in TABLES)


class Migration(migrations.Migration):
    dependencies = [("billing", "0009_ledger_audits")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
