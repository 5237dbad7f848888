"""The audit's rule on the rollups behind the overview: each hour is the sum of its events (L15)."""

from billing.audit_rules import Rule

ROLLUPS_ARE_SUMS = Rule(
    "L15",
    "Every hour of the overview is the sum of its events",
    """
    SELECT organization_id,
           format('hour %%s: overview %%s requests, charge %%s, cost %%s; events %%s, %%s, %%s', hour,
                  kept.requests, kept.charge_usd, kept.cost_usd, e.requests, e.charge_usd, e.cost_usd)
      FROM (SELECT organization_id, date_trunc('hour', occurred_at, 'UTC') AS hour,
                   sum(requests) AS requests, sum(charge_usd) AS charge_usd, sum(cost_usd) AS cost_usd
              FROM (SELECT organization_id, occurred_at, sequence, 1 AS requests, charge_usd, cost_usd
                      FROM billing_usageevent
                    UNION ALL
                    SELECT organization_id, occurred_at, sequence, 0, charge_usd, cost_usd
                      FROM billing_eventadjustment) AS recorded
             WHERE sequence <= COALESCE((SELECT max(sequence) FROM analytics_rollupwatermark), 0)
               AND occurred_at >= date_trunc('day', %(since)s, 'UTC') + interval '1 day'
             GROUP BY 1, 2) e
      FULL JOIN (SELECT organization_id, hour, requests, charge_usd, cost_usd
                   FROM analytics_usagehour
                  WHERE dimension = 'organization'
                    AND hour >= date_trunc('day', %(since)s, 'UTC') + interval '1 day') kept
        USING (organization_id, hour)
     WHERE (e.requests, e.charge_usd, e.cost_usd)
           IS DISTINCT FROM (kept.requests, kept.charge_usd, kept.cost_usd)
    """,
)
