"""Hold each transfer to zero: checked once per transfer at commit, and sealed after it.

The seal lets the zero-sum check run once per transfer instead of once per entry: entries are
accepted only in the database transaction that posts their transfer, at whose end it is checked.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION billing_check_transfer_is_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    legs bigint;
    difference_usd numeric;
BEGIN
    SELECT count(*), COALESCE(sum(amount_usd), 0) INTO legs, difference_usd
      FROM billing_ledgerentry WHERE transfer_id = NEW.id;
    IF legs < 2 OR difference_usd <> 0 THEN
        RAISE EXCEPTION 'transfer % is unbalanced: % legs sum to %', NEW.id, legs, difference_usd
            USING ERRCODE = 'check_violation', HINT = 'At least two legs must sum to zero.';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER balanced AFTER INSERT ON billing_ledgertransfer
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION billing_check_transfer_is_balanced();

CREATE FUNCTION billing_check_entries_fit_their_transfer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1
       FROM posted
       LEFT JOIN billing_ledgertransfer t ON t.id = posted.transfer_id
       LEFT JOIN billing_ledgeraccount a ON a.id = posted.account_id
      WHERE t.posted_in IS DISTINCT FROM txid_current()
         OR t.organization_id IS DISTINCT FROM a.organization_id
         OR t.occurred_at IS DISTINCT FROM posted.occurred_at;
    IF FOUND THEN
        RAISE EXCEPTION 'an entry does not fit its transfer'
            USING ERRCODE = 'restrict_violation',
                  HINT = 'Entries come with their transfer, in one transaction, of one organization.';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER fits_its_transfer AFTER INSERT ON billing_ledgerentry
    REFERENCING NEW TABLE AS posted
    FOR EACH STATEMENT EXECUTE FUNCTION billing_check_entries_fit_their_transfer();
"""
BACKWARD = """
DROP TRIGGER fits_its_transfer ON billing_ledgerentry;
DROP FUNCTION billing_check_entries_fit_their_transfer();
DROP TRIGGER balanced ON billing_ledgertransfer;
DROP FUNCTION billing_check_transfer_is_balanced();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_ledger_append_only")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
