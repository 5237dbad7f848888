"""Refuse UPDATE, DELETE and TRUNCATE on the ledger: a mistake is corrected by another transfer."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION billing_refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'Post an adjusting transfer instead.';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_ledgertransfer
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_ledger_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_ledgerentry
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_ledger_change();
"""
BACKWARD = """
DROP TRIGGER append_only ON billing_ledgerentry;
DROP TRIGGER append_only ON billing_ledgertransfer;
DROP FUNCTION billing_refuse_ledger_change();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_usage_events_by_day")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
