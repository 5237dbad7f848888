"""Refuse every change of an issued invoice: a mistake is corrected by a credit note."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION billing_refuse_invoice_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an issued invoice never changes: % is refused', TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'Issue a credit note instead.';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_invoice
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_invoice_change();
"""
BACKWARD = """
DROP TRIGGER append_only ON billing_invoice;
DROP FUNCTION billing_refuse_invoice_change();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0019_invoices")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
