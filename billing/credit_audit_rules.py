"""The audit's rules of payments, promotion codes and invoices: each agrees with the ledger.

Statements are of the form that `billing.audit_rules` describes, and run in the same snapshot.
"""

from billing.audit_rules import Rule

# Texts are made by format(); its %% are doubled for the driver.
CREDIT_RULES = (
    Rule(
        "L17",
        "A payment's transfers are what it says: paid once, given back never more than that",
        """
        SELECT p.organization_id,
               format('payment %%s (%%s): credit %%s, fee %%s, given back %%s, disputed %%s, of %%s', p.id,
                      p.status, l.paid, l.fee, l.refunded, l.disputed, p.amount_usd)
          FROM billing_payment p
          CROSS JOIN LATERAL (
               SELECT COALESCE(sum(amount_usd) FILTER (WHERE kind = 'top_up'), 0) AS paid,
                      COALESCE(-sum(amount_usd) FILTER (WHERE kind = 'fee'), 0) AS fee,
                      COALESCE(-sum(amount_usd) FILTER (WHERE kind = 'refund'), 0) AS refunded,
                      COALESCE(-sum(amount_usd) FILTER (WHERE kind = 'dispute'), 0) AS disputed
                 FROM billing_paymenttransfer WHERE payment_id = p.id) l
         WHERE l.paid <> CASE p.status WHEN 'succeeded' THEN p.amount_usd ELSE 0 END
            OR l.fee <> CASE p.status WHEN 'succeeded' THEN p.fee_usd ELSE 0 END
            OR l.refunded <> p.refunded_usd OR l.disputed <> p.disputed_usd
            OR l.refunded > p.amount_usd OR l.refunded < 0
        """,
    ),
    Rule(
        "L17",
        "What a payment or a promotion code says it moved is what the ledger moved",
        """
        SELECT t.organization_id,
               format('transfer %%s: said %%s, ledger %%s', t.id, said.amount_usd, e.amount_usd)
          FROM (SELECT l.transfer_id, l.amount_usd, p.organization_id
                  FROM billing_paymenttransfer l JOIN billing_payment p ON p.id = l.payment_id
                UNION ALL
                SELECT r.transfer_id, c.amount_usd, r.organization_id
                  FROM billing_redemption r JOIN billing_promotioncode c ON c.id = r.code_id) said
          JOIN billing_ledgertransfer t ON t.id = said.transfer_id
          LEFT JOIN (billing_ledgerentry e JOIN billing_ledgeraccount a
                     ON a.id = e.account_id AND a.kind = 'prepaid_credit') ON e.transfer_id = t.id
         WHERE e.amount_usd IS DISTINCT FROM said.amount_usd OR said.organization_id <> t.organization_id
        """,
    ),
    Rule(
        "L17",
        "A promotion code was used as often as its redemptions say",
        """
        SELECT NULL::uuid, format('code %%s: %%s uses, %%s redemptions', c.code, c.uses, count(r.code_id))
          FROM billing_promotioncode c LEFT JOIN billing_redemption r ON r.code_id = c.id
         GROUP BY c.id HAVING c.uses <> count(r.code_id)
        """,
    ),
    Rule(
        "L25",
        "Invoice numbers run from 1 without a gap",
        """
        SELECT NULL::uuid, format('%%s documents, highest number %%s, counter %%s', made.count, made.highest,
                                  made.last_number)
          FROM (SELECT count(*) AS count, COALESCE(max(number), 0) AS highest,
                       COALESCE((SELECT last_number FROM billing_invoicecounter), 0) AS last_number
                  FROM billing_invoice) made
         WHERE made.count <> made.highest OR made.highest <> made.last_number
        """,
    ),
    Rule(
        "L25",
        "Every invoice is the bytes that were issued",
        """
        SELECT organization_id, format('document %%s', name) FROM billing_invoice
         WHERE encode(sha256(pdf), 'hex') <> pdf_sha256 OR encode(sha256(html), 'hex') <> html_sha256
        """,
    ),
    Rule(
        "L25",
        "An invoice and its notes bill what the ledger took in their period",
        """
        SELECT i.organization_id,
               format('%%s with its notes: %%s, ledger %%s', i.name, billed.total, taken.total)
          FROM billing_invoice i
          JOIN billing_billingprofile b ON b.organization_id = i.organization_id
          CROSS JOIN LATERAL (
               SELECT sum(total_usd) AS total FROM billing_invoice d
                WHERE d.id = i.id OR d.corrects_id = i.id) billed
          CROSS JOIN LATERAL (
               SELECT COALESCE(-sum(e.amount_usd), 0) AS total
                 FROM billing_ledgeraccount a
                 JOIN billing_ledgerentry e ON e.account_id = a.id
                 JOIN billing_ledgertransfer t ON t.id = e.transfer_id
                WHERE a.organization_id = i.organization_id AND a.kind = 'prepaid_credit'
                  AND t.kind IN ('charge', 'fee', 'adjustment') AND e.id <= b.invoiced_up_to
                  AND e.occurred_at >= i.starts_at AND e.occurred_at < i.ends_at) taken
         WHERE i.corrects_id IS NULL AND billed.total <> taken.total
        """,
    ),
)
