"""The numbered rules of the audit, each one SQL statement that gives the rows that break it.

A statement gives `(organization_id, example)`: whose money it is, None where it is nobody's alone,
and the difference in words. `%(since)s` is how far back events are kept. What each number means,
and which invariants no statement can prove: docs/ledger.md. Pricing again is in `billing.audit_repricing`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """`number` is that of the invariant (docs/ledger.md), `title` says what holds."""

    number: str
    title: str
    sql: str


# Who may move what in which direction, by kind of transfer; any other leg breaks L17.
LEGS_OF_KIND = (
    ("charge", "prepaid_credit", -1),
    ("charge", "platform_revenue", 1),
    ("charge", "provider_cost", -1),
    ("charge", "provider_payable", 1),
    ("top_up", "payments", -1),
    ("top_up", "prepaid_credit", 1),
    ("promotion", "promotion", -1),
    ("promotion", "prepaid_credit", 1),
    ("refund", "prepaid_credit", -1),
    ("refund", "payments", 1),
    ("fee", "prepaid_credit", -1),
    ("fee", "fees", 1),
    ("adjustment", "adjustment", -1),
    ("adjustment", "adjustment", 1),
    # Re-rating moves both ways: a better price may be higher or lower.
    *(
        ("adjustment", account, sign)
        for account in ("prepaid_credit", "platform_revenue", "provider_cost", "provider_payable")
        for sign in (-1, 1)
    ),
)
_LEGS = ", ".join(f"('{kind}', '{account}', {sign})" for kind, account, sign in LEGS_OF_KIND)

# (table, trigger) of what makes the ledger append-only and each transfer balanced.
GUARDS = (
    ("billing_ledgertransfer", "append_only"),
    ("billing_ledgerentry", "append_only"),
    ("billing_ledgertransfer", "balanced"),
    ("billing_ledgerentry", "fits_its_transfer"),
    ("billing_ledgeraudit", "append_only"),
    ("billing_ledgerauditfinding", "append_only"),
    ("billing_pricefact", "append_only"),
    ("billing_markup", "append_only"),
    ("billing_invoice", "append_only"),
    ("billing_eventadjustment", "append_only"),
    ("billing_providerstatement", "append_only"),
    ("billing_providerstatementline", "append_only"),
)
_GUARDS = ", ".join(f"('{table}', '{trigger}')" for table, trigger in GUARDS)

# Texts are made by format(); its %% are doubled for the driver.
LEDGER_RULES = (
    Rule(
        "L1",
        "Every transfer has two entries or more, which sum to zero",
        """
        SELECT t.organization_id,
               format('transfer %%s: %%s entries sum to %%s', t.id, count(e.id),
                      COALESCE(sum(e.amount_usd), 0))
          FROM billing_ledgertransfer t LEFT JOIN billing_ledgerentry e ON e.transfer_id = t.id
         GROUP BY t.id HAVING count(e.id) < 2 OR sum(e.amount_usd) <> 0
        """,
    ),
    Rule(
        "L1",
        "Each organization's balances sum to zero, and so does the whole ledger",
        """
        SELECT organization_id, format('the accounts of %%s sum to %%s', organization_id, sum(balance_usd))
          FROM billing_ledgeraccount GROUP BY organization_id HAVING sum(balance_usd) <> 0
        """,
    ),
    Rule(
        "L2",
        "Every account's balance is the sum of its entries",
        """
        SELECT a.organization_id,
               format('account %%s: balance %%s, entries %%s; charged %%s, entries %%s', a.id,
                      a.balance_usd, COALESCE(s.total, 0), a.charged_usd, COALESCE(s.charged, 0))
          FROM billing_ledgeraccount a
          LEFT JOIN (SELECT e.account_id, sum(e.amount_usd) AS total,
                            -sum(e.amount_usd) FILTER (WHERE t.kind = 'charge') AS charged
                       FROM billing_ledgerentry e JOIN billing_ledgertransfer t ON t.id = e.transfer_id
                      GROUP BY e.account_id) s ON s.account_id = a.id
         WHERE a.balance_usd <> COALESCE(s.total, 0) OR a.charged_usd <> COALESCE(s.charged, 0)
        """,
    ),
    Rule(
        "L2",
        "Every entry's balance follows from the one before it",
        """
        SELECT a.organization_id,
               format('entry %%s: balance after it %%s, recomputed %%s', e.id, balance_after_usd, running)
          FROM (SELECT id, account_id, balance_after_usd,
                       sum(amount_usd) OVER (PARTITION BY account_id ORDER BY id) AS running
                  FROM billing_ledgerentry) e
          LEFT JOIN billing_ledgeraccount a ON a.id = e.account_id
         WHERE balance_after_usd <> running
        """,
    ),
    Rule(
        "L9",
        "The triggers that refuse changes and unbalanced transfers stand and are enabled",
        f"""
        SELECT NULL::uuid, format('%%s on %%s is missing or disabled', guard.name, guard.place)
          FROM (VALUES {_GUARDS}) AS guard (place, name)
          LEFT JOIN pg_class c ON c.relname = guard.place AND c.relnamespace = current_schema()::regnamespace
          LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgname = guard.name AND t.tgenabled IN ('O', 'A')
         WHERE t.oid IS NULL
        """,
    ),
    Rule(
        "L17",
        "Money moves only between the accounts of its kind, and in its direction",
        f"""
        SELECT a.organization_id,
               format('entry %%s: %%s moves %%s on %%s', e.id, t.kind, e.amount_usd, a.kind)
          FROM billing_ledgerentry e
          JOIN billing_ledgertransfer t ON t.id = e.transfer_id
          JOIN billing_ledgeraccount a ON a.id = e.account_id
          LEFT JOIN (VALUES {_LEGS}) AS allowed (kind, account, sign)
            ON allowed.kind = t.kind AND allowed.account = a.kind AND allowed.sign = sign(e.amount_usd)
         WHERE allowed.kind IS NULL
        """,
    ),
    Rule(
        "L20",
        "Every entry belongs to its transfer: one moment, one organization",
        """
        SELECT COALESCE(a.organization_id, t.organization_id),
               format('entry %%s of transfer %%s', e.id, e.transfer_id)
          FROM billing_ledgerentry e
          LEFT JOIN billing_ledgertransfer t ON t.id = e.transfer_id
          LEFT JOIN billing_ledgeraccount a ON a.id = e.account_id
         WHERE t.id IS NULL OR a.id IS NULL
            OR e.occurred_at <> t.occurred_at OR a.organization_id <> t.organization_id
        """,
    ),
)

EVENT_RULES = (
    Rule(
        "L5",
        "Every event's charge and cost are in the ledger once, and only those",
        """
        SELECT COALESCE(e.organization_id, l.organization_id),
               format('event %%s: charge %%s, ledger %%s; owed to the provider %%s, ledger %%s',
                      COALESCE(e.id, l.id), e.charge_usd, l.charge_usd, e.owed_usd, l.owed_usd)
          FROM (SELECT id, organization_id, charge_usd,
                       CASE WHEN is_own_credential THEN 0 ELSE cost_usd END AS owed_usd
                  FROM billing_usageevent
                 WHERE occurred_at >= %(since)s
                   AND (charge_usd <> 0 OR (cost_usd <> 0 AND NOT is_own_credential))) e
          FULL JOIN (SELECT t.id, t.organization_id,
                            sum(CASE a.kind WHEN 'prepaid_credit' THEN -n.amount_usd ELSE 0 END)
                                AS charge_usd,
                            sum(CASE a.kind WHEN 'provider_payable' THEN n.amount_usd ELSE 0 END)
                                AS owed_usd
                       FROM billing_ledgertransfer t
                       LEFT JOIN billing_ledgerentry n ON n.transfer_id = t.id
                       LEFT JOIN billing_ledgeraccount a ON a.id = n.account_id
                      WHERE t.kind = 'charge' AND t.occurred_at >= %(since)s
                      GROUP BY t.id) l ON l.id = e.id
         WHERE (e.charge_usd, e.owed_usd, e.organization_id)
               IS DISTINCT FROM (l.charge_usd, l.owed_usd, l.organization_id)
        """,
    ),
    Rule(
        "L5",
        "Every adjustment of an event is in the ledger as it says; none where an own key paid",
        """
        SELECT a.organization_id,
               format('adjustment %%s: charge %%s, ledger %%s; owed to the provider %%s, ledger %%s', a.id,
                      a.charge_usd, l.charge_usd, a.cost_usd, l.owed_usd)
          FROM billing_eventadjustment a
          LEFT JOIN (SELECT t.id, t.organization_id, t.occurred_at,
                            sum(CASE a.kind WHEN 'prepaid_credit' THEN -n.amount_usd ELSE 0 END)
                                AS charge_usd,
                            sum(CASE a.kind WHEN 'provider_payable' THEN n.amount_usd ELSE 0 END)
                                AS owed_usd
                       FROM billing_ledgertransfer t
                       LEFT JOIN billing_ledgerentry n ON n.transfer_id = t.id
                       LEFT JOIN billing_ledgeraccount a ON a.id = n.account_id
                      WHERE t.kind = 'adjustment'
                      GROUP BY t.id) l ON l.id = a.transfer_id AND l.id = a.id
         WHERE (a.transfer_id IS NULL AND a.charge_usd <> 0)
            OR (a.transfer_id IS NOT NULL
                AND (l.organization_id, l.occurred_at, l.charge_usd, l.owed_usd)
                    IS DISTINCT FROM (a.organization_id, a.occurred_at, a.charge_usd, a.cost_usd))
        """,
    ),
    Rule(
        "L5",
        "Every adjustment is of an event there is, and no other one moves what usage moves",
        """
        SELECT a.organization_id, format('adjustment %%s: there is no event %%s', a.id, a.event_id)
          FROM billing_eventadjustment a
          LEFT JOIN billing_usageevent e
            ON e.id = a.event_id AND e.occurred_at = a.occurred_at AND e.organization_id = a.organization_id
         WHERE a.occurred_at >= %(since)s AND e.id IS NULL
        UNION ALL
        SELECT DISTINCT t.organization_id, format('transfer %%s is of no event', t.id)
          FROM billing_ledgertransfer t
          JOIN billing_ledgerentry n ON n.transfer_id = t.id
          JOIN billing_ledgeraccount c ON c.id = n.account_id
          LEFT JOIN billing_eventadjustment a ON a.transfer_id = t.id
         WHERE t.kind = 'adjustment' AND a.id IS NULL
           AND c.kind IN ('platform_revenue', 'provider_cost', 'provider_payable')
        """,
    ),
    Rule(
        "L7",
        "Nothing is charged for a request that no provider was asked for",
        """
        SELECT organization_id, format('event %%s: charge %%s, cost %%s', id, charge_usd, cost_usd)
          FROM billing_usageevent
         WHERE (charge_usd <> 0 OR cost_usd <> 0) AND (provider = '' OR model = '')
        """,
    ),
    Rule(
        "L10",
        "Nothing is charged or costs less than zero, nor is an own credential charged",
        """
        SELECT organization_id, format('event %%s: charge %%s, cost %%s', id, charge_usd, cost_usd)
          FROM billing_usageevent
         WHERE cost_usd < 0 OR charge_usd < 0 OR (is_own_credential AND charge_usd <> 0)
        """,
    ),
    Rule(
        "L20",
        "Every event belongs to the organization of its key and project",
        """
        SELECT e.organization_id, format('event %%s', e.id)
          FROM billing_usageevent e
          LEFT JOIN accounts_apikey k ON k.id = e.key_id
          LEFT JOIN accounts_project p ON p.id = e.project_id
         WHERE k.organization_id <> e.organization_id OR p.organization_id <> e.organization_id
        """,
    ),
    Rule(
        "L23",
        "A refused request has used, cost and charged nothing",
        """
        SELECT organization_id, format('event %%s: charge %%s, cost %%s', id, charge_usd, cost_usd)
          FROM billing_usageevent
         WHERE ending = 'refused'
           AND (charge_usd <> 0 OR cost_usd <> 0 OR input_tokens + output_tokens <> 0)
        """,
    ),
    Rule(
        "L24",
        "Every event is stored once",
        """
        SELECT min(organization_id::text)::uuid, format('event %%s is stored %%s times', id, count(*))
          FROM billing_usageevent GROUP BY id HAVING count(*) > 1
        """,
    ),
)

_rules: list[Rule] = [*LEDGER_RULES, *EVENT_RULES]


def rules() -> tuple[Rule, ...]:
    """Billing's own rules and those that other rooms have added."""
    return tuple(_rules)


def add_rules(*added: Rule) -> None:
    """Let another room's tables be audited in the same snapshot; adding a rule again changes nothing."""
    _rules.extend(rule for rule in added if rule not in _rules)
