"""Refuse UPDATE, DELETE and TRUNCATE on prices and markups: a mistake is corrected by another row."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION billing_refuse_price_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'prices are append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'State another price, or take this one back.';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_pricefact
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_price_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_markup
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_price_change();
"""
BACKWARD = """
DROP TRIGGER append_only ON billing_markup;
DROP TRIGGER append_only ON billing_pricefact;
DROP FUNCTION billing_refuse_price_change();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0012_prices_in_two_times")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
