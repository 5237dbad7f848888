"""Refuse UPDATE, DELETE and TRUNCATE on adjustments: a mistake is corrected by another one."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_eventadjustment
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_ledger_change();
"""
BACKWARD = "DROP TRIGGER append_only ON billing_eventadjustment;"


class Migration(migrations.Migration):
    dependencies = [("billing", "0021_event_adjustments")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
