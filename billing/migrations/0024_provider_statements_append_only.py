"""Refuse UPDATE, DELETE and TRUNCATE on what providers said: a correction is another statement."""

from django.db import migrations

TABLES = ("billing_providerstatement", "billing_providerstatementline")
FORWARD = "".join(
    f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
    " FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_ledger_change();"
    for table in TABLES
)
BACKWARD = "".join(f"DROP TRIGGER append_only ON {table};" for table in TABLES)


class Migration(migrations.Migration):
    dependencies = [("billing", "0023_provider_statements")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
